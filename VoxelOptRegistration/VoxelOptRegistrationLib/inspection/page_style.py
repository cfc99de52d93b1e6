"""The style sheet of `report.html`."""

STYLE = """
:root { --ink: #1c2733; --soft: #5b6b7b; --line: #d9e0e7; --paper: #ffffff; --accent: #1d6a96; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef2f5; color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1160px; margin: 24px auto; padding: 32px 40px 40px; background: var(--paper); border-radius: 10px;
  box-shadow: 0 1px 4px rgba(20, 40, 60, .12); }
h1 { margin: 0 0 4px; font-size: 26px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 36px 0 10px; padding-bottom: 6px; font-size: 19px; border-bottom: 2px solid var(--line); }
h3 { margin: 22px 0 8px; font-size: 15px; color: var(--accent); }
p { margin: 6px 0; }
.lead, .note { color: var(--soft); }
.note { font-size: 13px; }
.box { margin: 16px 0; padding: 12px 18px; border-left: 5px solid; border-radius: 4px; }
.box ul { margin: 4px 0; padding-left: 20px; }
.warn { border-color: #d98200; background: #fff6e6; }
.calm { border-color: #4b8f63; background: #eff8f2; }
.care { border-color: #7b8a99; background: #f3f5f7; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; font-size: 13px; color: var(--soft); }
td.number, th.number { text-align: right; white-space: nowrap; }
td.hint { color: var(--soft); font-size: 13px; }
tbody th { color: var(--ink); font-size: 14px; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 36px; }
.columns > div { min-width: 0; }
.columns td { overflow-wrap: anywhere; }
.row { display: grid; gap: 10px; margin-bottom: 10px; break-inside: avoid; }
.three { grid-template-columns: repeat(3, 1fr); }
.four { grid-template-columns: repeat(4, 1fr); }
figure { margin: 0; break-inside: avoid; }
figcaption { margin: 3px 2px 0; font-size: 12.5px; color: var(--soft); }
.slice { position: relative; display: flex; justify-content: center; background: #000; border-radius: 4px;
  overflow: hidden; }
.slice .fit { position: relative; }
.slice img { display: block; width: 100%; height: 100%; }
.slice b { position: absolute; font: 600 11px/1 ui-monospace, Menlo, Consolas, monospace; color: #ffe38a;
  text-shadow: 0 0 3px #000, 0 0 2px #000; }
.slice .left { left: 4px; top: 50%; transform: translateY(-50%); }
.slice .right { right: 4px; top: 50%; transform: translateY(-50%); }
.slice .top { top: 4px; left: 50%; transform: translateX(-50%); }
.slice .bottom { bottom: 4px; left: 50%; transform: translateX(-50%); }
.slice .ruler { position: absolute; right: 8px; bottom: 7px; height: 5px; border: 1px solid #ffe38a; border-top: 0; }
.slice .ruler i { position: absolute; right: 0; bottom: 5px; font: normal 10px/1.1 system-ui, sans-serif;
  color: #ffe38a; white-space: nowrap; text-shadow: 0 0 3px #000; }
svg text { font: 11px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: #44525f; }
svg.scale { display: block; width: 100%; max-width: 330px; margin: 6px auto 0; }
svg.scale text { font-size: 10.5px; }
svg.chart { width: 100%; }
svg .rule { stroke: #e3e8ed; } svg .axis { stroke: #8b98a5; }
svg .bar { fill: #4a86b5; } svg .bad { fill: #ff00dc; } svg .mark { stroke: #1c2733; stroke-dasharray: 3 3; }
.fold-key { display: block; text-align: center; font-size: 11.5px; color: var(--soft); }
.fold-key i { display: inline-block; width: 11px; height: 11px; margin-right: 5px; background: #ff00dc;
  vertical-align: -1px; }
@media (max-width: 720px) {
  main { margin: 0; padding: 18px; border-radius: 0; }
  .columns, .four { grid-template-columns: 1fr 1fr; }
  .columns { grid-template-columns: 1fr; }
}
@media print {
  @page { size: A4; margin: 12mm; }
  body { background: #fff; font-size: 10pt; }
  main { max-width: none; margin: 0; padding: 0; box-shadow: none; }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  h1 { font-size: 17pt; } h2 { margin: 14pt 0 6pt; font-size: 13pt; } h3 { margin: 8pt 0 4pt; }
  th, td { padding: 2.5pt 6pt; } .columns { font-size: 8.5pt; } .columns th { font-size: 8.5pt; }
  h2, h3 { break-after: avoid; } tr, .box { break-inside: avoid; }
  .place { break-before: page; }
}
"""
