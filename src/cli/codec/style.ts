/** Colours of a terminal, or nothing where the output is none. */
export type Style = (color: Color, text: string) => string;
export type Color = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'magenta';
const CODES: Readonly<Record<Color, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 };

/** `when`: `always`, `never`, or else as the terminal and NO_COLOR (https://no-color.org) say. */
export function styleFor(when: string | undefined, isTerminal = process.stdout.isTTY === true): Style {
  const noColor = process.env.NO_COLOR ?? '';
  const isOn = when === 'always' || (when !== 'never' && isTerminal && noColor === '' && process.env.TERM !== 'dumb');
  return (color, text) => (isOn ? `\x1b[${CODES[color]}m${text}\x1b[0m` : text);
}

/** Text of a peer as a terminal may show it: quoted, without control characters. */
export const quoted = (text: string): string =>
  JSON.stringify(text).replace(/[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
