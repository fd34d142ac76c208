// What `onechannel/websocket` is to the pages: the class that the page's URL asks for.
//
// `?transport=native`: the browser's own WebSocket, to the endpoint without the hub. Otherwise ours, over this
// transport alone.
class Native extends WebSocket {
  constructor(url: string | URL, protocols?: string | string[]) {
    const bare = new URL(url, location.href);
    // Starlette mounts do not match their own path without a slash.
    bare.pathname = `/bare${bare.pathname.replace(/^\/ws$/, "/ws/")}`;
    super(bare, protocols);
  }
}

export const FallbackWebSocket = Native;
