import { ConfigError } from '../../base/errors.js';

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'];
const pad = (value: number, digits = 2) => String(value).padStart(digits, '0');

/** `strftime` specifiers in UTC, with Envoy's `%f` (fraction of a second, nine digits unless a number says how many) and `%s` (seconds since 1970). */
const SPECIFIERS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => pad(date.getUTCFullYear(), 4),
  y: (date) => pad(date.getUTCFullYear() % 100),
  m: (date) => pad(date.getUTCMonth() + 1),
  d: (date) => pad(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2, ' '),
  H: (date) => pad(date.getUTCHours()),
  I: (date) => pad(((date.getUTCHours() + 11) % 12) + 1),
  M: (date) => pad(date.getUTCMinutes()),
  S: (date) => pad(date.getUTCSeconds()),
  p: (date) => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  a: (date) => DAYS[date.getUTCDay()].slice(0, 3),
  A: (date) => DAYS[date.getUTCDay()],
  b: (date) => MONTHS[date.getUTCMonth()].slice(0, 3),
  B: (date) => MONTHS[date.getUTCMonth()],
  h: (date) => MONTHS[date.getUTCMonth()].slice(0, 3),
  j: (date) =>
    pad(
      Math.floor((Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()) - Date.UTC(date.getUTCFullYear(), 0)) / 86_400_000) + 1,
      3,
    ),
  F: (date) => date.toISOString().slice(0, 10),
  T: (date) => date.toISOString().slice(11, 19),
  R: (date) => date.toISOString().slice(11, 16),
  D: (date) => `${pad(date.getUTCMonth() + 1)}/${pad(date.getUTCDate())}/${pad(date.getUTCFullYear() % 100)}`,
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  z: () => '+0000',
  Z: () => 'UTC',
  n: () => '\n',
  t: () => '\t',
  '%': () => '%',
};

/**
 * Compiles a time format; an empty one gives `2026-01-02T03:04:05.678Z`. The result takes ms since 1970. `%3f` are milliseconds, `%f` nine digits, `%3s`
 * seconds with milliseconds. The last time is remembered, as many lines share one millisecond. Throws ConfigError on an unknown specifier.
 */
export function compileTimeFormat(format: string): (timeMs: number) => string {
  const render = format === '' ? (date: Date) => date.toISOString() : compileSpecifiers(format);
  let lastTime = Number.NaN;
  let lastText = '';
  return (timeMs) => {
    if (timeMs !== lastTime) {
      lastTime = timeMs;
      lastText = render(new Date(timeMs));
    }
    return lastText;
  };
}

function compileSpecifiers(format: string): (date: Date) => string {
  const parts: ((date: Date) => string)[] = [];
  let rest = format;
  while (rest !== '') {
    const text = /^[^%]+/.exec(rest)?.[0];
    if (text !== undefined) {
      parts.push(() => text);
      rest = rest.slice(text.length);
      continue;
    }
    const found = /^%([1-9]?)(.)/s.exec(rest);
    if (found === null) throw new ConfigError(`time format '${format}': a '%' at the end`);
    const [whole, digits, specifier] = found;
    if (specifier === 'f') parts.push((date) => fraction(date, digits === '' ? 9 : Number(digits)));
    else if (specifier === 's' && digits !== '') parts.push((date) => SPECIFIERS.s(date) + fraction(date, Number(digits)));
    else {
      const render = digits === '' && Object.hasOwn(SPECIFIERS, specifier) ? SPECIFIERS[specifier] : undefined;
      if (render === undefined) throw new ConfigError(`time format '${format}': '${whole}' is not supported`);
      parts.push(render);
    }
    rest = rest.slice(whole.length);
  }
  return (date) => parts.map((part) => part(date)).join('');
}
/** The clock has milliseconds: further digits are 0. */
const fraction = (date: Date, digits: number) => pad(date.getUTCMilliseconds(), 3).padEnd(9, '0').slice(0, digits);
