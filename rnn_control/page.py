"""What every page of a Report is made of: its frame, its style for screens and paper, and tables that sort."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --page: #fff; --line: #d0d7de;
  --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9da7b1; --page: #0d1117;
  --line: #3d444d; --card: #161b22; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1rem; color: var(--ink);
  background: var(--page); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: 2rem; }
p { white-space: pre-line; }
.numbers { display: grid; gap: .5rem; margin: 1rem 0;
  grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); }
.numbers div { padding: .6rem .8rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--card); break-inside: avoid; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.15rem; font-weight: 600; line-height: 1.3; }
.wide { overflow-x: auto; }
.wide + .wide { margin-top: 1.5rem; }
.number { white-space: nowrap; }
table { border-collapse: collapse; min-width: min(100%, 24rem); font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th button { all: unset; cursor: pointer; }
th button:focus-visible { outline: 2px solid currentColor; outline-offset: 2px; }
th[aria-sort] button::after { content: "\\00a0\\25b2"; font-size: .7em; }
th[aria-sort="descending"] button::after { content: "\\00a0\\25bc"; }
caption, figcaption { color: var(--soft); font-size: .9rem; text-align: left; padding: .3rem 0; }
caption { max-width: calc(100vw - 2rem); }
figure { margin: 1.5rem 0; }
figure .wide { padding: .5rem; border: 1px solid var(--line); border-radius: .4rem;
  background: #fff; }
figure svg, figure img { display: block; width: 100%; min-width: 28rem; height: auto; }
@media screen and (prefers-color-scheme: dark) {
  figure .wide { filter: invert(.9) hue-rotate(180deg); border-color: #ccc; } }
.checks div { padding: .5rem .8rem; margin: .4rem 0; border: 1px solid var(--line);
  border-left: .35rem solid var(--verdict); border-radius: .4rem; background: var(--card);
  break-inside: avoid; }
.checks dt { color: var(--ink); font-size: 1rem; font-weight: 600; }
.checks dd { font-size: .95rem; font-weight: 400; }
.good { --verdict: #2da44e; } .care { --verdict: #d4a72c; } .bad { --verdict: #cf222e; }
@media print { @page { size: A4; margin: 18mm; }
  :root { --ink: #000; --soft: #444; --page: #fff; --line: #bbb; --card: #fff; }
  body { max-width: none; padding: 0; font-size: 10pt; } .wide { overflow: visible; }
  table { font-size: 9pt; } figure, table, h2 { break-inside: avoid; } h2 { break-after: avoid; }
  figure svg, figure img { min-width: 0; max-height: 85mm; object-fit: contain; } }
"""

SCRIPT = """
// numbers before texts, what is empty last, whichever the direction
const rank = text => text === "" ? 2 : Number.isNaN(value(text)) ? 1 : 0;
const value = text => parseFloat(text.replace(/^([-+]?)inf$/, "$1Infinity"));
const compare = (a, b, down) => rank(a) - rank(b) || (down ? -1 : 1) *
  (rank(a) ? a.localeCompare(b) : value(a) === value(b) ? 0 : value(a) - value(b));
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  if (body.rows.length > 1) heads.filter(head => head.textContent).forEach(head => {
    const button = document.createElement("button"), text = row => row.cells[head.cellIndex].textContent;
    button.title = "sort";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      body.append(...[...body.rows].sort((a, b) => compare(text(a), text(b), down)));
    };
  });
}
"""
"""The headers of tables become buttons that sort; without it the tables are as they were written."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
<script>{script}</script>
</body>
</html>
"""
