"""How the report looks, and the few lines of script that move its sliders. Nothing is loaded from anywhere."""
from __future__ import annotations

STYLE = '''
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5b6776; --line: #dfe4ea; --paper: #fff; --tint: #f4f6f8; --good: #10693a;
  --bad: #a8231d; --amber: #96620a; --grey: #5b6776; --mark: #1b5fa8; --second: #96620a;
  --shade: rgba(0, 0, 0, .22); }
@media (prefers-color-scheme: dark) { :root { --ink: #e5e9ee; --soft: #a3aebb; --line: #39424d; --paper: #15191e; --tint: #1f252c;
  --good: #5cc98a; --bad: #ff8a80; --mark: #79b4f2; --second: #e0b050; --shade: rgba(255, 255, 255, .3); } }
* { box-sizing: border-box; }
html { scroll-padding-top: .5rem; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; overflow-wrap: break-word; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--soft); }
.headline { margin: .3rem 0 .6rem; font-size: clamp(1.15rem, 1rem + 1vw, 1.6rem); line-height: 1.3; font-weight: 650; }
.lead { margin-bottom: 1rem; font-size: 1.05rem; }
h2 { margin: 2.4rem 0 .2rem; font-size: 1.25rem; } h3 { margin: 1.4rem 0 .4rem; font-size: 1.05rem; overflow-wrap: anywhere; }
h4 { margin: 1rem 0 .3rem; font-size: 1rem; }
p { margin: .2rem 0 .8rem; max-width: 52rem; } .soft, figcaption, .unit { color: var(--soft); }
a { color: var(--mark); } nav { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; margin: 1rem 0 0; font-size: .95rem; }
nav a { padding: .25rem 0; }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 14.5rem), 1fr)); gap: .8rem; margin: 0; padding: 0;
  list-style: none; }
.cards li { padding: .7rem .9rem; border: 1px solid var(--line); border-radius: .5rem; background: var(--tint); font-size: .9rem; }
.cards b { display: block; margin: .1rem 0; font-size: 1.6rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.cards span { display: block; } .cards .name { font-weight: 600; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin-bottom: .6rem;  /* a shadow at the right edge while there is more to see */
  background: linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--shade), transparent) right / .9rem 100% no-repeat scroll; }
table { border-collapse: separate; border-spacing: 0; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th { font-weight: 600; } thead th { white-space: normal; vertical-align: bottom; } .unit { font-weight: 400; }
th:first-child, td:first-child { position: sticky; left: 0; min-width: 7.5rem; padding-left: 0; background: var(--paper);
  white-space: normal; overflow-wrap: anywhere; }
thead tr:last-child th { font-weight: 400; color: var(--soft); }
th.first, td.first { padding-left: 1.4rem; } th[colspan] { text-align: center; } thead tr:not(:last-child) th { border-bottom: 0; }
tr th:first-child, tr td:first-child { text-align: left; }
tr.overall td, tr.overall th { font-weight: 650; border-top: 2px solid var(--ink); border-bottom: 0; }
tr.chosen td { font-weight: 650; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict { padding: .05rem .5rem; border-radius: .6rem; color: #fff; background: var(--grey); }
.verdict.green { background: #10693a; } .verdict.amber { background: #96620a; } .verdict.red { background: #a8231d; }
p .verdict { display: inline-block; }
td.why { min-width: min(15rem, 45vw); white-space: normal; font-weight: 400; } .why { text-align: left; }
figure { margin: 1rem 0 1.6rem; min-width: 0; } img { display: block; max-width: 100%; height: auto; }
figure > img { border: 1px solid var(--line); }
figcaption { margin-top: .3rem; font-size: .9rem; overflow-wrap: anywhere; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); gap: .4rem 1rem; }
.grid.plots { grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
.grid figure { margin: .3rem 0 .6rem; } .grid img { width: 100%; }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .4rem .8rem; margin-bottom: 1.6rem; }
.pair figure { margin: 0; } .pair img { width: 100%; } .pair .compare, .pair .legend { grid-column: 1 / -1; }
@media (min-width: 48rem) { .pair { grid-template-columns: 2fr 1fr 1fr; } .pair .compare { grid-column: 1; grid-row: 1 / span 2; }
  .pair .legend { grid-column: auto; align-self: start; } }
.legend { display: flex; gap: .8rem; align-items: center; font-size: .9rem; }
.legend .wheel { width: 72px; flex: none; border-radius: 50%; }
.legend p { margin: 0; min-width: 0; overflow-wrap: anywhere; }
.stack { display: grid; grid-template-columns: 1fr 1fr; gap: .3rem; border: 1px solid var(--line); }
.stack > div { position: relative; min-width: 0; }
.stack span { position: absolute; bottom: .3rem; left: .3rem; padding: 0 .4rem; border-radius: .3rem; font-size: .8rem; color: #fff;
  background: rgba(0, 0, 0, .62); }
.live .stack { display: block; position: relative; overflow: hidden; cursor: ew-resize; touch-action: pan-y; user-select: none; }
.live .stack .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at)); }
.live .stack .after span { left: auto; right: .3rem; }
.live .stack::after { content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px; background: #fff;
  box-shadow: 0 0 0 1px rgba(0, 0, 0, .6); pointer-events: none; }
.compare input { width: 100%; height: 1.8rem; margin: 0; accent-color: var(--mark); }
svg { display: block; width: 100%; max-width: 30rem; height: auto; font-size: 12px; }
svg text { fill: var(--soft); } svg text.on { fill: var(--ink); }
svg .axis { stroke: var(--soft); } svg .rule { stroke: var(--line); }
svg .zero { stroke: var(--soft); stroke-dasharray: 4 3; }
svg .curve { fill: none; stroke: var(--mark); stroke-width: 1.8; stroke-linejoin: round; }
svg .dot { fill: var(--mark); } svg .bar { stroke: var(--mark); stroke-width: 1.5; }
svg .b .dot { fill: var(--second); } svg .b .bar { stroke: var(--second); }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.6; }
details { margin-top: .8rem; } summary { padding: .15rem 0; cursor: pointer; font-weight: 600; }
pre { margin: .4rem 0; padding: .7rem; overflow-x: auto; background: var(--tint); font-size: .82rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
'''

# without it both pictures stand side by side, and there is no slider
SCRIPT = '''
for (const box of document.querySelectorAll('.compare')) {
  const input = box.querySelector('input'), stack = box.querySelector('.stack');
  const show = () => {
    box.style.setProperty('--at', input.value + '%');
    input.setAttribute('aria-valuetext', 'left ' + input.value + ' % before, the rest after');
  };
  const drag = event => {
    if (event.buttons) {
      const frame = stack.getBoundingClientRect();
      input.value = 100 * (event.clientX - frame.left) / frame.width;
      show();
    }
  };
  input.hidden = false;
  input.oninput = show;
  stack.onpointerdown = stack.onpointermove = drag;
  stack.ondragstart = () => false;
  box.classList.add('live');
  show();
}
'''
