import type { Match } from './codec.js';

/** What a byte at the start of a connection may be: one value, one of some, whatever satisfies a test, or (`undefined`) anything. */
export type ByteRule = number | readonly number[] | ((byte: number) => boolean) | undefined;

/** A matcher of a protocol with fixed first bytes: `no` at the first byte that contradicts, `yes` when all rules are met. */
export const matchBytes =
  (...rules: readonly ByteRule[]): Match =>
  (head) => {
    const there = Math.min(head.length, rules.length);
    for (let i = 0; i < there; i++) {
      const rule = rules[i];
      if (rule === undefined) continue;
      const agrees = typeof rule === 'number' ? head[i] === rule : typeof rule === 'function' ? rule(head[i]) : rule.includes(head[i]);
      if (!agrees) return 'no';
    }
    return there === rules.length ? 'yes' : 'more';
  };
