/** The admin home page: one self-contained document, no script, no resource from elsewhere. */

/** What the page and `/help` show of an endpoint. */
export interface EndpointHelp {
  readonly path: string;
  readonly help: string;
  readonly mutates: boolean;
  readonly params: readonly { readonly name: string; readonly help: string; readonly choices?: readonly string[]; readonly flag?: boolean }[];
}

const escape = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; --line: #8886; --soft: #8883; --muted: #595959; --accent: #0a5cad; --good: #146c2e; --warn: #9a4600; }
@media (prefers-color-scheme: dark) { :root { --muted: #a8a8a8; --accent: #6cb2f7; --good: #5fce80; --warn: #f0a35e; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; }
header { display: flex; align-items: center; gap: .75rem; flex-wrap: wrap; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1rem; margin: 2.25rem 0 .25rem; }
.state { font: 600 .8rem/1 ui-monospace, monospace; padding: .4em .7em; border-radius: 1em; border: 1px solid; color: var(--good); }
.state:not(.live) { color: var(--warn); }
.version, label, dt { color: var(--muted); font-size: .85rem; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; }
dl div { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .75rem; min-width: 0; }
dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--soft); vertical-align: top; }
td:first-child { white-space: nowrap; width: 12rem; }
a, button.link { color: var(--accent); font: 1em ui-monospace, monospace; text-decoration: none; background: none; border: 0; padding: 0; cursor: pointer; }
a:hover, button.link:hover { text-decoration: underline; }
button.change { font: 1em ui-monospace, monospace; color: var(--warn); background: none; border: 1px solid; border-radius: .35rem; padding: .1em .5em; cursor: pointer; }
button.change:hover { background: var(--soft); }
label { display: inline-flex; align-items: center; gap: .35rem; margin-right: 1rem; white-space: nowrap; }
input { margin: 0; }
input[type=text], select { font: .85rem ui-monospace, monospace; padding: .1rem .3rem; width: 10rem; max-width: 60vw; }
form { margin: 0; }
.params { margin-top: .35rem; display: flex; flex-wrap: wrap; gap: .4rem 0; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr 1fr; } td, td:first-child { display: block; border: 0; padding: .1rem 0; width: auto; } tr { display: block; border-bottom: 1px solid var(--soft); padding: .5rem 0; } }
`;

/** What the page says of the proxy above its list of endpoints. */
export interface PageStatus {
  readonly state: string;
  readonly version: string;
  /** Label and value of each tile. */
  readonly facts: readonly (readonly [label: string, value: string])[];
}

/** Draws the page. What changes something stands apart, behind buttons. */
export function homePage({ state, version, facts }: PageStatus, endpoints: readonly EndpointHelp[]): string {
  const table = (mutates: boolean): string =>
    endpoints
      .filter((endpoint) => endpoint.mutates === mutates)
      .map(row)
      .join('\n');
  const tiles = facts.map(([label, value]) => `<div><dt>${escape(label)}</dt><dd>${escape(value)}</dd></div>`).join('\n');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice admin</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header><h1>Sluice admin</h1><span class="state${state === 'LIVE' ? ' live' : ''}">${escape(state)}</span><span class="version">${escape(version)}</span></header>
<dl>
${tiles}
</dl>
<h2>Look</h2>
<table>
${table(false)}
</table>
<h2>Change</h2>
<table>
${table(true)}
</table>
</body>
</html>
`;
}

function row({ path, help, mutates, params }: EndpointHelp): string {
  const id = `f${path.replace(/[^a-z]/g, '-')}`;
  const inputs = params.map(({ name, help: text, choices, flag }) => {
    const title = escape(text);
    if (flag) return `<label title="${title}"><input form="${id}" type="checkbox" name="${name}" value="on"> ${name}</label>`;
    if (choices !== undefined) {
      const options = choices.map((choice) => `<option>${escape(choice)}</option>`).join('');
      return `<label title="${title}">${name} <select form="${id}" name="${name}">${options}</select></label>`;
    }
    return `<label title="${title}">${name} <input form="${id}" type="text" name="${name}"></label>`;
  });
  const action = escape(path.slice(1));
  const button = `<button class="${mutates ? 'change' : 'link'}">${escape(path)}</button>`;
  const open =
    mutates || params.length > 0
      ? `<form id="${id}" method="${mutates ? 'post' : 'get'}" action="${action}">${button}</form>`
      : `<a href="${action}">${escape(path)}</a>`;
  const controls = inputs.length === 0 ? '' : `<div class="params">${inputs.join('')}</div>`;
  return `<tr><td>${open}</td><td>${escape(help)}${controls}</td></tr>`;
}
