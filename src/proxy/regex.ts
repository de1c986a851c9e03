import v8 from 'node:v8';
import { ConfigError } from '../base/errors.js';

/** A configured regular expression that runs in time linear in its input. It matches whole values only, as Envoy's matchers do. */
export interface SafeRegex {
  /** As configured. */
  readonly source: string;
  /** True where the whole of `text` matches. */
  test(text: string): boolean;
}
/** Replaces every match in a text. */
export type Replacer = (text: string) => string;

/** Compiles RE2 patterns, with V8's linear engine behind the ordinary one (DESIGN §9). */
export interface RegexEngine {
  /** Throws ConfigError where the pattern is wrong, is longer than 4,096 bytes, or cannot run in linear time. */
  compile(pattern: string): SafeRegex;
  /** `substitution` as in RE2: `\1` .. `\9` are groups, `\0` the match, `\\` a backslash. Throws ConfigError also where it names a group that is not there. */
  replacer(pattern: string, substitution: string): Replacer;
}

/** Longest pattern in UTF-8 bytes. */
export const MAX_PATTERN_BYTES = 4096;
/** V8's linear engine refuses larger counts: they are written out as a sequence. */
const MAX_COUNT_AT_ONCE = 16;
/** RE2's own bound. */
const MAX_COUNT = 1000;

/**
 * Switches V8's linear engine on for this process and checks that it works. Call before the first pattern is compiled; calling it again changes nothing.
 * Throws ConfigError where this V8 has no linear engine: running configured patterns without it would let one request stop a worker.
 */
export function createRegexEngine(): RegexEngine {
  v8.setFlagsFromString('--enable-experimental-regexp-engine');
  v8.setFlagsFromString('--enable-experimental-regexp-engine-on-excessive-backtracks');
  if (!isLinear('a+b') || isLinear('(?=a)') || isLinear('(a)\\1'))
    throw new ConfigError('safe regular expressions need V8 with its linear engine; this one has none');
  return {
    compile(pattern) {
      const regex = build(pattern, (body) => `^(?:${body})$`, '');
      return { source: pattern, test: (text) => regex.test(text) };
    },
    replacer(pattern, substitution) {
      const regex = build(pattern, (body) => body, 'g');
      const groups = (new RegExp(`(?:${regex.source})|`).exec('')?.length ?? 1) - 1;
      const replacement = translateSubstitution(substitution, groups);
      return (text) => text.replace(regex, replacement);
    },
  };
}

function isLinear(source: string): boolean {
  try {
    new RegExp(source, 'l');
    return true;
  } catch {
    // Only the answer matters: refused by the linear engine.
    return false;
  }
}

function build(pattern: string, wrap: (body: string) => string, flags: string): RegExp {
  const bytes = Buffer.from(pattern, 'utf8');
  if (bytes.length > MAX_PATTERN_BYTES)
    throw new ConfigError(`regular expression of ${bytes.length} bytes; at most ${MAX_PATTERN_BYTES} are allowed`);
  const source = wrap(new Translator(bytes.toString('latin1')).translate());
  try {
    new RegExp(source, flags);
  } catch (cause) {
    throw new ConfigError(`invalid regular expression '${pattern}': ${(cause as Error).message}`, { cause });
  }
  if (!isLinear(source))
    throw new ConfigError(`regular expression '${pattern}' cannot run in linear time (look-around, back-references and large nested counts cannot)`);
  return new RegExp(source, flags);
}

function translateSubstitution(substitution: string, groups: number): string {
  return Buffer.from(substitution, 'utf8')
    .toString('latin1')
    .replaceAll('$', '$$$$')
    .replace(/\\(.?)/gs, (_, what: string) => {
      if (what === '\\') return '\\';
      if (what === '0') return '$&';
      if (!/^[1-9]$/.test(what))
        throw new ConfigError(`substitution '${substitution}': '\\${what}' means nothing; write \\0 to \\9, or \\\\ for a backslash`);
      if (Number(what) > groups) throw new ConfigError(`substitution '${substitution}' names group ${what}, but the pattern has ${groups}`);
      // Two digits, so that a digit that follows is not taken for a part of the number.
      return `$0${what}`;
    });
}

const POSIX_CLASSES: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  ascii: '\\x00-\\x7f',
  blank: '\\t ',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '!-~',
  lower: 'a-z',
  print: ' -~',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};
const isLetter = (char: string) => /^[a-z]$/i.test(char);

interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

/** Turns RE2 syntax into the part of JavaScript's that the linear engine takes: inline flags, named groups, POSIX classes, large counts. */
class Translator {
  readonly #pattern: string;
  #at = 0;

  /** `pattern`: one character for each byte. */
  constructor(pattern: string) {
    this.#pattern = pattern;
  }
  translate(): string {
    const out = this.#alternatives({ ignoreCase: false, dotAll: false });
    if (this.#at < this.#pattern.length) throw this.#bad(`unexpected ')' at ${this.#at}`);
    return out;
  }

  #bad(what: string): ConfigError {
    return new ConfigError(`invalid regular expression '${this.#pattern}': ${what}`);
  }
  #take(text: string): boolean {
    if (!this.#pattern.startsWith(text, this.#at)) return false;
    this.#at += text.length;
    return true;
  }
  #match(regex: RegExp): RegExpExecArray | undefined {
    const sticky = new RegExp(regex.source, 'y');
    sticky.lastIndex = this.#at;
    const found = sticky.exec(this.#pattern);
    if (found === null) return undefined;
    this.#at += found[0].length;
    return found;
  }

  /** Up to the end of the pattern or of the group. `(?i)` holds from where it stands to the end of its group. */
  #alternatives(outer: Flags): string {
    let flags = outer;
    let out = '';
    while (this.#at < this.#pattern.length && this.#pattern[this.#at] !== ')') {
      if (this.#take('|')) {
        out += '|';
        continue;
      }
      const inline = this.#match(/\(\?([is]*)(?:-([is]+))?\)/);
      if (inline !== undefined) {
        flags = changeFlags(flags, inline);
        continue;
      }
      out += this.#quantified(flags);
    }
    return out;
  }
  #quantified(flags: Flags): string {
    const atom = this.#atom(flags);
    let out = atom;
    for (let isFirst = true; ; isFirst = false) {
      const count = this.#match(/\{(\d+)(,?)(\d*)\}(\??)/);
      if (count !== undefined) {
        if (!isFirst) throw this.#bad(`a repetition is repeated at ${this.#at}`);
        out = this.#counted(atom, count);
        continue;
      }
      const sign = this.#match(/[*+?]\??/);
      if (sign === undefined) return out;
      if (!isFirst) throw this.#bad(`a repetition is repeated at ${this.#at}`);
      out = atom + sign[0];
    }
  }
  /** `x{2,40}` as `x{2,16}x{0,16}x{0,8}`. */
  #counted(atom: string, [, low, comma, high, lazy]: RegExpExecArray): string {
    const min = Number(low);
    const max = comma === '' ? min : high === '' ? Number.POSITIVE_INFINITY : Number(high);
    if (min > MAX_COUNT || (max !== Number.POSITIVE_INFINITY && max > MAX_COUNT)) throw this.#bad(`a count above ${MAX_COUNT}`);
    if (max < min) throw this.#bad(`a count from ${min} to ${max}`);
    const largest = max === Number.POSITIVE_INFINITY ? min : max;
    if (largest > MAX_COUNT_AT_ONCE && /(?<!\\)\((?!\?:)/.test(atom))
      throw this.#bad(`a capturing group repeated more than ${MAX_COUNT_AT_ONCE} times; use (?:...)`);
    let out = '';
    let [least, most] = [min, largest];
    while (most > MAX_COUNT_AT_ONCE) {
      out += `${atom}{${Math.min(least, MAX_COUNT_AT_ONCE)},${MAX_COUNT_AT_ONCE}}${lazy}`;
      least = Math.max(0, least - MAX_COUNT_AT_ONCE);
      most -= MAX_COUNT_AT_ONCE;
    }
    return `(?:${out}${atom}{${least},${max === Number.POSITIVE_INFINITY ? '' : most}}${lazy})`;
  }
  #atom(flags: Flags): string {
    const { ignoreCase, dotAll } = flags;
    if (this.#take('(')) return this.#group(flags);
    if (this.#take('[')) return this.#class(ignoreCase);
    if (this.#take('\\')) return this.#escape(ignoreCase);
    if (this.#take('.')) return dotAll ? '[^]' : '[^\\n]';
    const char = this.#pattern[this.#at++];
    if ('*+?'.includes(char)) throw this.#bad(`nothing to repeat at ${this.#at - 1}`);
    if ('^$'.includes(char)) return char;
    return literal(char, ignoreCase);
  }
  #group(outer: Flags): string {
    let open = '(';
    let flags = outer;
    if (this.#take('?')) {
      const name = this.#match(/P?<([A-Za-z_]\w*)>/);
      const inline = name === undefined ? this.#match(/([is]*)(?:-([is]+))?:/) : undefined;
      if (name !== undefined) open = `(?<${name[1]}>`;
      else if (inline !== undefined) {
        open = '(?:';
        flags = changeFlags(outer, inline);
      } else throw this.#bad(`'(?${this.#pattern[this.#at] ?? ''}' is not supported`);
    }
    const body = this.#alternatives(flags);
    if (!this.#take(')')) throw this.#bad("a ')' is missing");
    return `${open}${body})`;
  }
  #class(ignoreCase: boolean): string {
    let out = this.#take('^') ? '[^' : '[';
    for (let isFirst = true; isFirst || this.#pattern[this.#at] !== ']'; isFirst = false) {
      if (this.#at >= this.#pattern.length) throw this.#bad("a ']' is missing");
      const posix = this.#match(/\[:(\^?)(\w+):\]/);
      if (posix !== undefined) {
        const members = POSIX_CLASSES[posix[2]];
        if (members === undefined || posix[1] !== '') throw this.#bad(`class ${posix[0]} is not supported`);
        out += ignoreCase && /^(upper|lower)$/.test(posix[2]) ? 'A-Za-z' : members;
        continue;
      }
      const from = this.#classMember();
      out += from.text;
      if (this.#pattern[this.#at] === '-' && this.#pattern[this.#at + 1] !== ']' && this.#at + 1 < this.#pattern.length) {
        this.#at++;
        const to = this.#classMember();
        if (from.char === undefined || to.char === undefined || from.char > to.char) throw this.#bad(`a range out of order at ${this.#at}`);
        out += `-${to.text}`;
        if (ignoreCase) out += otherCaseRange(from.char, to.char);
      } else if (ignoreCase && from.char !== undefined && isLetter(from.char)) out += swapCase(from.char);
    }
    this.#at++;
    return `${out}]`;
  }
  /** One member of a class: its text, and its character where it is one. */
  #classMember(): { text: string; char: string | undefined } {
    const char = this.#pattern[this.#at++];
    if (char === undefined) throw this.#bad("a ']' is missing");
    if (char > '\x7f') throw this.#bad('a class with a character outside ASCII');
    if (char !== '\\') return { text: '[]^\\'.includes(char) ? `\\${char}` : char, char };
    const escape = this.#pattern[this.#at];
    if (escape !== undefined && 'dwDWS'.includes(escape)) {
      this.#at++;
      return { text: `\\${escape}`, char: undefined };
    }
    if (escape === 's') {
      this.#at++;
      return { text: '\\t\\n\\f\\r ', char: undefined };
    }
    const value = this.#escapedChar();
    return { text: codeEscape(value), char: value };
  }
  #escape(ignoreCase: boolean): string {
    const escape = this.#pattern[this.#at];
    if (escape === undefined) throw this.#bad("a '\\' at the end");
    const plain = { A: '^', z: '$', d: '\\d', D: '\\D', w: '\\w', W: '\\W', b: '\\b', B: '\\B', s: '[\\t\\n\\f\\r ]', S: '[^\\t\\n\\f\\r ]' }[escape];
    if (plain !== undefined) {
      this.#at++;
      return plain;
    }
    if (this.#take('Q')) {
      const end = this.#pattern.indexOf('\\E', this.#at);
      const text = this.#pattern.slice(this.#at, end < 0 ? undefined : end);
      this.#at = end < 0 ? this.#pattern.length : end + 2;
      return `(?:${[...text].map((char) => literal(char, ignoreCase)).join('')})`;
    }
    return literal(this.#escapedChar(), ignoreCase);
  }
  /** After the backslash: an escape that stands for one character. */
  #escapedChar(): string {
    const hex = this.#match(/x\{([0-9A-Fa-f]{1,2})\}/) ?? this.#match(/x([0-9A-Fa-f]{2})/);
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex[1], 16));
    const char = this.#pattern[this.#at++];
    const control = { n: '\n', r: '\r', t: '\t', f: '\f', v: '\v', a: '\x07' }[char];
    if (control !== undefined) return control;
    if (char === undefined || /[0-9A-Za-z]/.test(char)) throw this.#bad(`'\\${char ?? ''}' is not supported`);
    return char;
  }
}

function changeFlags(flags: Flags, [, on = '', off = '']: RegExpExecArray): Flags {
  const pick = (flag: string, now: boolean) => (off.includes(flag) ? false : now || on.includes(flag));
  return { ignoreCase: pick('i', flags.ignoreCase), dotAll: pick('s', flags.dotAll) };
}
const codeEscape = (char: string) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
const swapCase = (char: string) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase());
function literal(char: string, ignoreCase: boolean): string {
  if (ignoreCase && isLetter(char)) return `[${char}${swapCase(char)}]`;
  return /^[\w~`!@#%&=:;"'<>, -]$/.test(char) ? char : codeEscape(char);
}
/** The letters of a range in their other case. */
function otherCaseRange(from: string, to: string): string {
  let out = '';
  for (const [low, high] of [
    ['a', 'z'],
    ['A', 'Z'],
  ]) {
    const [first, last] = [from > low ? from : low, to < high ? to : high];
    if (first <= last) out += `${swapCase(first)}-${swapCase(last)}`;
  }
  return out;
}
