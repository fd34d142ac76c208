"""The page that `pages` opens: it has the browser client."""

from __future__ import annotations

PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A member</title>
<script type="module">
    import { Channel } from "/client.js";
    Object.assign(window, { Channel, ready: true });
</script>
"""
