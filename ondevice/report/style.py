"""The style sheet of the page: light and dark, from a phone's width to a desk's."""

from __future__ import annotations

from ondevice.report.drawing import COLOURS

# Beyond the plots' colours: grounds, lines and the dots of the kinds of evidence.
_MORE = {
    "raised": ("#f6f7f9", "#1c2026"),
    "line": ("#d5d9de", "#353c45"),
    "warn": ("#fff4dc", "#33290f"),
    "warn-line": ("#e0b04a", "#8a6a1f"),
    "bad": ("#b3261e", "#ff8a80"),
    "phone": ("#0f8a4d", "#3fcf86"),
    "host": ("#0a66c2", "#62adff"),
    "reference": ("#7536dd", "#b99dff"),
    "published": ("#a05a00", "#e8b04e"),
}

_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);line-height:1.5;
 font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1240px;margin:0 auto;padding:28px 24px 64px}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem}
h2{font-size:1.35rem;line-height:1.25;letter-spacing:-.01em;margin:3rem 0 .75rem;
 padding-top:1.25rem;border-top:1px solid var(--line);overflow-wrap:anywhere}
h3{font-size:1.02rem;margin:2rem 0 .35rem;overflow-wrap:anywhere}
p{margin:.4rem 0}
a{color:var(--host)}
.facts{display:flex;flex-wrap:wrap;gap:.35rem 1.75rem;margin:0 0 1.25rem;padding:0}
.facts div{display:flex;gap:.45rem;align-items:baseline}
.facts dt,.caption,.notes,.how dt{color:var(--muted)}
.facts dd{margin:0;font-weight:600;font-variant-numeric:tabular-nums}
.headlines{display:grid;gap:.75rem;margin:1rem 0;padding:0;list-style:none}
.headlines li{background:var(--raised);border-left:4px solid var(--host);border-radius:6px;
 padding:.8rem 1rem;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;margin:1rem 0 0;padding:0;list-style:none;
 font-size:.92rem}
.note{background:var(--warn);border-left:4px solid var(--warn-line);border-radius:6px;
 padding:.6rem .9rem;margin:.6rem 0;overflow-wrap:anywhere}
.caption{font-size:.88rem;margin:.1rem 0 .6rem;max-width:76ch}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:8px;
 -webkit-overflow-scrolling:touch}
.scroll:focus-visible{outline:2px solid var(--host);outline-offset:2px}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9rem}
th,td{padding:.5rem .75rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--grid)}
tbody tr:last-child>*{border-bottom:0}
thead th{background:var(--raised);color:var(--muted);font-weight:600;font-size:.8rem;
 vertical-align:bottom;border-bottom:1px solid var(--line);line-height:1.3}
thead .n{white-space:normal}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tbody th{position:sticky;left:0;background:var(--paper);font-weight:400;min-width:13.5rem;
 max-width:19rem;overflow-wrap:anywhere;border-right:1px solid var(--grid)}
thead th:first-child{position:sticky;left:0;z-index:1;border-right:1px solid var(--grid)}
tbody th b{font-weight:600}
tbody th span{display:block;color:var(--muted);font-size:.77rem;line-height:1.35}
td.t{max-width:30rem;overflow-wrap:break-word}
.long{min-width:15rem}
.bad{color:var(--bad);font-weight:600}
.v{font-weight:600}
.i{display:block;color:var(--muted);font-size:.76rem;line-height:1.35}
.e{display:block;color:var(--muted);font-size:.7rem;line-height:1.4;white-space:nowrap}
.e::before{content:"";display:inline-block;width:.5em;height:.5em;border-radius:50%;
 margin-right:.35em;background:var(--c,transparent);border:1px solid var(--c,var(--muted))}
.e-phone{--c:var(--phone)}.e-host{--c:var(--host)}.e-reference{--c:var(--reference)}
.e-published{--c:var(--published)}
sup{font-size:.68rem;line-height:0;color:var(--muted);font-weight:400;margin-left:.15em}
.notes{font-size:.82rem;margin:.5rem 0 0;padding-left:1.6rem;overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr));
 gap:1rem;margin:1.5rem 0;align-items:start}
figure{margin:0;border:1px solid var(--line);border-radius:8px;padding:.75rem}
figure svg{display:block;width:100%;height:auto;max-width:580px;margin:0 auto}
figcaption{font-weight:600;font-size:.92rem;margin:0 0 .5rem}
details{margin:1rem 0}
summary{cursor:pointer;font-weight:600;font-size:.95rem}
.how{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;font-size:.9rem;
 margin:.6rem 0}
.how dd{margin:0;overflow-wrap:anywhere}
.legend{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1rem;font-size:.9rem}
.legend .e{display:inline;font-size:.85rem;color:var(--ink)}
.legend dd{margin:0;color:var(--muted)}
@media (max-width:640px){
 main{padding:18px 14px 48px}
 h1{font-size:1.55rem}h2{font-size:1.2rem;margin-top:2.2rem}
 th,td{padding:.45rem .55rem}
 tbody th{min-width:8.6rem;max-width:8.6rem;font-size:.84rem}
 tbody th span{font-size:.76rem}
 .how,.legend{grid-template-columns:1fr;gap:0}
 .how dd,.legend dd{margin-bottom:.45rem}
 figure{padding:.6rem .4rem}
}
@media print{.scroll{overflow:visible}h2{break-after:avoid}figure{break-inside:avoid}}
"""


def sheet() -> str:
    """Return the style sheet."""
    colours = COLOURS | _MORE
    light = ";".join(f"--{role}:{one}" for role, (one, _) in colours.items())
    dark = ";".join(f"--{role}:{one}" for role, (_, one) in colours.items())
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}{_RULES}"
    )
