/**
 * What can be wrong with a configuration. `SYNTAX`: the YAML or JSON does not parse. `UNKNOWN_FIELD`, `UNKNOWN_ENUM_VALUE`, `UNKNOWN_TYPE`: correct the
 * spelling, or take out what this version does not know. `MISSING_TYPE`: an `Any` needs `@type`. `DUPLICATE_FIELD`, `ONEOF_CONFLICT`: keep one of them.
 * `WRONG_TYPE`, `OUT_OF_RANGE`, `INVALID_DURATION`, `INVALID_BYTES`, `INVALID_TIMESTAMP`: the text says what is expected. `MISSING_FIELD`: add it.
 * `INVALID_VALUE`: a rule of the API forbids the value. `TOO_DEEP`, `TOO_LARGE`: past the loader's bounds. `DEPRECATED_FIELD` (a warning): still
 * works. `INVALID`: found by a later stage.
 */
export const PROBLEM_CODES = [
  'SYNTAX',
  'UNKNOWN_FIELD',
  'UNKNOWN_ENUM_VALUE',
  'UNKNOWN_TYPE',
  'MISSING_TYPE',
  'DUPLICATE_FIELD',
  'ONEOF_CONFLICT',
  'WRONG_TYPE',
  'OUT_OF_RANGE',
  'INVALID_DURATION',
  'INVALID_BYTES',
  'INVALID_TIMESTAMP',
  'MISSING_FIELD',
  'INVALID_VALUE',
  'TOO_DEEP',
  'TOO_LARGE',
  'DEPRECATED_FIELD',
  'INVALID',
] as const;
/** A stable name of a kind of problem. A later stage may use codes of its own. */
export type ProblemCode = (typeof PROBLEM_CODES)[number];

/** One thing wrong with a configuration, with the place. */
export interface Problem {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 units. */
  readonly column: number;
  /** Fields as the API names them: `static_resources.listeners[0].name`; empty for the whole file. */
  readonly path: string;
  readonly code: string;
  readonly message: string;
  /** The nearest right spelling. */
  readonly suggestion?: string;
}

/** Problems as text for people, one a line (`file:line:column: path: message [CODE]`), or as a JSON array for machines. */
export function formatProblems(problems: readonly Problem[], format: 'text' | 'json'): string {
  if (format === 'json') return JSON.stringify(problems, null, 2);
  return problems
    .map(({ file, line, column, path, code, message, suggestion }) => {
      const hint = suggestion === undefined ? '' : `; did you mean ${suggestion}?`;
      return `${file}:${line}:${column}: ${path === '' ? '' : `${path}: `}${message}${hint} [${code}]`;
    })
    .join('\n');
}

/** Longest word that `nearest` compares, in UTF-16 units. */
const MAX_WORD = 200;

/** The candidate with the smallest edit distance to `word`, where it is near enough to be what was meant: up to a third of its letters. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > MAX_WORD) return undefined;
  const lower = word.toLowerCase();
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.ceil(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(lower, candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, beforeLast[j - 2] + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length];
}
