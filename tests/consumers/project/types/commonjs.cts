// The package from CommonJS, which Node.js 20.19 and 22.12 allow. Compiled, never run.
import onechannel = require("onechannel");
import reload = require("onechannel/reload");

const channel: onechannel.Channel<string> = new onechannel.Channel("https://example.com/chat");
channel.onmessage = ({ data }) => data.trim();
const kept: Promise<onechannel.Channel> = reload.acrossReloads(onechannel.Channel, "https://example.com/chat");
export = [channel, kept];
