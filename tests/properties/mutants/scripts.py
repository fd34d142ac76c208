"""Broken scripts of the store in Redis, which differ from the journal's reference."""

from __future__ import annotations

from msgspec import Struct

from transport.stores.redis.scripts import Script, Scripts


class ScriptMutant(Struct, frozen=True):
    """A rule of the scripts that is broken.

    Attributes:
        name: what is broken.
        old: a part of at least one script, and once in each that has it.
        new: what is there instead.
    """

    name: str
    old: str
    new: str = ""

    def broken(self) -> Scripts:
        """Return all scripts, with the rule broken."""
        scripts = Scripts.read()
        texts = [getattr(scripts, name).text for name in scripts.__struct_fields__]
        assert max(text.count(self.old) for text in texts) == 1, self.old
        return Scripts(*(Script.of(text.replace(self.old, self.new)) for text in texts))


_DECIDES = "local answer = decide(found, ARGV[1], ARGV[2], ARGV[3])"

SCRIPTS = (
    ScriptMutant(
        "no fence",
        "if f > fence or (f == fence and found[1] ~= home) then return 'fenced' end",
    ),
    ScriptMutant("fence checked without the home", " or (f == fence and found[1] ~= home)"),
    ScriptMutant(
        "version ignored",
        "if f == fence and found[1] == home and v >= version then return 'ok' end",
    ),
    ScriptMutant("repetition recognised without the home", "and found[1] == home and v", "and v"),
    ScriptMutant(
        "repetition recognised without the fence",
        "f == fence and found[1] == home and v",
        "found[1] == home and v",
    ),
    ScriptMutant("missing versions ignored", " or v < version - 1"),
    ScriptMutant("older fence accepted", "(f < fence or v < version - 1)", "v < version - 1"),
    ScriptMutant("ended session written", "if found[4] then return 'ended' end"),
    ScriptMutant(
        "end not fenced",
        f"  {_DECIDES}\n  if answer then return answer end\n  local fields",
        "  if not found[2] then return 'gone' end\n  local fields",
    ),
    ScriptMutant(
        "release not fenced",
        f"  {_DECIDES}\n  if answer then return answer end\n  redis.call('HSET'",
        "  if not found[2] then return 'gone' end\n  redis.call('HSET'",
    ),
    ScriptMutant("gap in the log", "known < 0 or torn", "torn"),
    ScriptMutant("step on a torn log", "known < 0 or torn", "known < 0"),
    ScriptMutant(
        "stored messages pushed again", "messages + known, messages", "messages, messages"
    ),
    ScriptMutant("last moved back", "last = found[5]"),
    ScriptMutant("acked moved back", "if trim < 0 then acked = found[6] end"),
    ScriptMutant("acknowledged messages kept", "if trim > 0 then", "if trim > 1 then"),
    ScriptMutant("cursor not removed", "each('HDEL', record, unsets, stop - 1)"),
    ScriptMutant("touch without its time", "text(clock() - tonumber(idle))", "text(clock())"),
    ScriptMutant("log without a life", "if length == to - from + 1 then", "if length == 0 then"),
    ScriptMutant("record without a life", "redis.call('PEXPIRE', record, ARGV[4])"),
    ScriptMutant(
        "log kept at an end",
        "redis.call('DEL', record, log) -- the",
        "redis.call('DEL', record) -- the",
    ),
    ScriptMutant(
        "log kept when repaired", "redis.call('DEL', record, log)\n", "redis.call('DEL', record)\n"
    ),
    ScriptMutant("claim of another fence", " or tonumber(fence) ~= tonumber(ARGV[2])"),
    ScriptMutant("claim from another home", "home ~= ARGV[1] or "),
    ScriptMutant("claim of what has ended", "if ended then return 'ended' end"),
    ScriptMutant("claim in the grace", "if in_grace() then return 'grace' end"),
    ScriptMutant("unknown in the grace", "in_grace() and 'grace' or 'unknown'", "'unknown'"),
    ScriptMutant("grace of another run ignored", "run ~= RUN or now", "now"),
    ScriptMutant(
        "birth missed", "if not born then return true end", "if not born then return false end"
    ),
    ScriptMutant("expiry missed at a claim", "expired and '0' or text(now)", "text(now)"),
    ScriptMutant("claim without a sign of life", "expired and '0' or text(now)", "seen"),
    ScriptMutant("epoch kept at a claim", ", 'r', RUN, 'e', told)", ", 'r', RUN)"),
    ScriptMutant("claim in another run not noticed", "if run ~= RUN then", "if false then"),
    ScriptMutant(
        "numbers given again forgotten in another run", "tonumber(first) or math.huge", "math.huge"
    ),
    ScriptMutant("numbers given again forgotten", "elseif first ~= '' then", "elseif false then"),
    ScriptMutant("epoch before not named", ".. first .. ' ' .. before", ".. first"),
    ScriptMutant("repair without the time of its client", "clock() - tonumber(ARGV[7])", "clock()"),
    ScriptMutant("numbers rounded", "string.format('%.0f', number)", "tostring(number)"),
    ScriptMutant(
        "session opened twice", "if #fields > 0 then return {'found', ARGV[1], fields} end"
    ),
)
