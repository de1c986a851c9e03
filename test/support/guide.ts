/** A guide in Markdown as something that can be run: its files, its commands in order, and the output that it promises. */

/** A fenced block of the guide. */
export type GuideStep =
  | { readonly is: 'file'; readonly path: string; readonly text: string }
  | { readonly is: 'commands'; readonly text: string; readonly line: number; output?: readonly string[] };

/** Reads the blocks: ```` ```LANG file=PATH ```` is a file, ```` ```sh ```` are commands, ```` ```text output ```` is what the commands before it print. */
export function readGuide(markdown: string): GuideStep[] {
  const steps: GuideStep[] = [];
  for (const match of markdown.matchAll(/^```(\w*)[ ]?(.*)\n([\s\S]*?)^```$/gm)) {
    const [, language, info, text] = match;
    const path = info.match(/^file=(\S+)$/)?.[1];
    const last = steps.at(-1);
    if (path !== undefined) steps.push({ is: 'file', path, text });
    else if (language === 'sh') steps.push({ is: 'commands', text, line: markdown.slice(0, match.index).split('\n').length });
    else if (info === 'output' && last?.is === 'commands') last.output = text.trimEnd().split('\n');
  }
  return steps;
}

/** What of the promised lines is missing in the output, in order; `...` stands for anything, also for whole lines. Undefined: nothing. */
export function missingLine(promised: readonly string[], output: string): string | undefined {
  const lines = output.split('\n');
  let at = 0;
  for (const line of promised) {
    if (line.trim() === '...') continue;
    const parts = line.trimEnd().split('...');
    const found = lines.findIndex((candidate, index) => index >= at && holds(candidate.trimEnd(), parts));
    if (found < 0) return line;
    at = found + 1;
  }
  return undefined;
}
function holds(line: string, parts: readonly string[]): boolean {
  if (parts.length === 1) return line === parts[0];
  let at = parts[0].length;
  if (!line.startsWith(parts[0])) return false;
  for (const part of parts.slice(1)) {
    const found = line.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}
