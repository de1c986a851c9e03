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
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #0a66c2; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 2rem 1.25rem 4rem; }
header { display: flex; align-items: baseline; gap: .75rem; flex-wrap: wrap; border-bottom: 1px solid var(--line); padding-bottom: .75rem; }
h1 { font-size: 1.5rem; margin: 0; }
.state { font: 600 .8rem/1 ui-monospace, monospace; padding: .35em .6em; border-radius: 1em; background: #1a7f3722; color: #1a7f37; }
.state:not(.live) { background: #b3540022; color: #b35400; }
.facts { color: #888; font-size: .9rem; }
table { border-collapse: collapse; width: 100%; margin-top: 1rem; }
td { padding: .5rem .75rem .5rem 0; border-bottom: 1px solid var(--soft); vertical-align: top; }
td:first-child { white-space: nowrap; width: 1%; }
a, button.link { color: var(--accent); font: 1em ui-monospace, monospace; text-decoration: none; background: none; border: 0; padding: 0; cursor: pointer; }
a:hover, button.link:hover { text-decoration: underline; }
.post { font: 600 .7rem/1 ui-monospace, monospace; color: #b35400; margin-left: .5em; }
label { font-size: .85rem; color: #888; margin-right: 1rem; white-space: nowrap; }
input[type=text], select { font: .85rem ui-monospace, monospace; padding: .1rem .3rem; width: 10rem; max-width: 60vw; }
form { margin: 0; }
.params { margin-top: .25rem; display: flex; flex-wrap: wrap; gap: .25rem 0; }
@media (max-width: 40rem) { td { display: block; border: 0; padding: .1rem 0; width: auto; } tr { display: block; border-bottom: 1px solid var(--soft); padding: .5rem 0; } }
`;

/** Draws the page. `facts`: short phrases beside the state. */
export function homePage(state: string, facts: readonly string[], endpoints: readonly EndpointHelp[]): string {
  const rows = endpoints.map(row).join('\n');
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
<header><h1>Sluice admin</h1><span class="state${state === 'LIVE' ? ' live' : ''}">${escape(state)}</span><span class="facts">${escape(facts.join(' · '))}</span></header>
<table>
${rows}
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
  const open =
    mutates || params.length > 0
      ? `<form id="${id}" method="${mutates ? 'post' : 'get'}" action="${action}"><button class="link">${escape(path)}</button>${mutates ? '<span class="post">POST</span>' : ''}</form>`
      : `<a href="${action === '' ? './' : action}">${escape(path)}</a>`;
  const controls = inputs.length === 0 ? '' : `<div class="params">${inputs.join('')}</div>`;
  return `<tr><td>${open}</td><td>${escape(help)}${controls}</td></tr>`;
}
