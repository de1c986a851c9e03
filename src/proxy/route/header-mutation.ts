import { ConfigError } from '../../base/errors.js';
import type { Edits } from '../../protocol/edits.js';
import type { Head } from '../../protocol/head.js';
import type { LogRecord } from '../access-log/access-log.js';
import { compileTextFormat } from '../access-log/formatter.js';
import { lowerAscii } from './matchers.js';

/** Header changes of a route, virtual host, table or weighted cluster, compiled. Lines are dropped or replaced first, then added. */
export interface HeaderMutation {
  /** Drops and replaces lines. Called before any `append`. */
  change(head: Head, edits: Edits, record: LogRecord): void;
  /** Adds lines. */
  append(head: Head, edits: Edits, record: LogRecord): void;
  /** The same for a message whose headers are a map. What is appended to an entry that is there stands behind a comma. */
  changeEntries(entries: EntryEdits, record: LogRecord): void;
}

/** One configured change (`HeaderValueOption`, or a name to remove). Values may hold command operators (`%REQ(x)%`). */
export type HeaderChange =
  | { readonly kind: 'remove'; readonly name: string }
  | {
      readonly kind: 'APPEND_IF_EXISTS_OR_ADD' | 'ADD_IF_ABSENT' | 'OVERWRITE_IF_EXISTS_OR_ADD' | 'OVERWRITE_IF_EXISTS';
      readonly name: string;
      readonly value: string;
      /** Else a change whose value comes out empty is left out. */
      readonly keepEmptyValue: boolean;
    };

/** What a message's headers are: lines of HTTP, or entries of an RPC protocol's map, whose names need be no tokens. */
export type HeaderForm = 'lines' | 'entries';

/** Names that belong to routing or to the connection and are written by the engine: a change of theirs would be lost or break the message. */
const RESERVED: ReadonlySet<string> = new Set([
  'host',
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'proxy-connection',
  'upgrade',
  'te',
]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the bytes that may not be in a field value (RFC 9110 §5.5).
const NOT_IN_A_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/g;

/**
 * Compiles changes, in the order in which they are to happen; undefined where there is none. What several changes of one name come to is worked out here, so
 * that lines that are always added cost one copy of bytes per message, and names nobody sent cost one look-up. Operators see the head as it was received.
 * Throws ConfigError, naming the header, for names that are no token or are reserved, and for values that no header may have.
 */
export function compileHeaderChanges(changes: readonly HeaderChange[], form: HeaderForm = 'lines'): HeaderMutation | undefined {
  const byName = new Map<string, NameChanges>();
  for (const change of changes) {
    const name = lowerAscii(change.name);
    const isReserved = name.startsWith(':') || (form === 'lines' && RESERVED.has(name));
    if (isReserved) throw new ConfigError(`header '${change.name}' cannot be changed`);
    if (form === 'lines' ? !TOKEN.test(name) : name === '') throw new ConfigError(`'${change.name}' is not a header name`);
    let of = byName.get(name);
    if (of === undefined) {
      of = new NameChanges(name);
      byName.set(name, of);
    }
    of.add(change);
  }
  let always = '';
  const conditional: NameChanges[] = [];
  for (const of of byName.values()) {
    const lines = of.alwaysAdded();
    if (lines === undefined) conditional.push(of);
    else always += lines;
  }
  if (always === '' && conditional.length === 0) return undefined;
  return new CompiledMutation(Buffer.from(always, 'latin1'), conditional, [...byName.values()]);
}

class CompiledMutation implements HeaderMutation {
  readonly #always: Uint8Array;
  readonly #conditional: readonly NameChanges[];
  readonly #all: readonly NameChanges[];
  /** Name, value, name, value, ... found by `change`, for the `append` that follows it. */
  readonly #pending: string[] = [];

  constructor(always: Uint8Array, conditional: readonly NameChanges[], all: readonly NameChanges[]) {
    this.#always = always;
    this.#conditional = conditional;
    this.#all = all;
  }
  change(head: Head, edits: Edits, record: LogRecord): void {
    this.#pending.length = 0;
    for (let i = 0; i < this.#conditional.length; i++) {
      const of = this.#conditional[i];
      const first = head.indexOf(of.name);
      const outcome = of.outcome(first >= 0, record);
      let added = 0;
      if (first >= 0 && !outcome.keepsReceived) {
        for (let index = first; index >= 0; index = head.indexOf(of.name, index + 1)) {
          // The new value takes the place of the first old one. A hop-by-hop line is not sent at all, so nothing can stand there.
          if (added === 0 && outcome.lines.length > 0 && !head.isHopByHop(index)) edits.replace(index, outcome.lines[added++].value);
          else edits.drop(index);
        }
      }
      for (; added < outcome.lines.length; added++) this.#pending.push(outcome.lines[added].name, outcome.lines[added].value);
    }
  }
  append(_head: Head, edits: Edits, _record: LogRecord): void {
    if (this.#always.length > 0) edits.appendBytes(this.#always);
    for (let i = 0; i < this.#pending.length; i += 2) edits.append(this.#pending[i], this.#pending[i + 1]);
  }
  changeEntries(entries: EntryEdits, record: LogRecord): void {
    for (const of of this.#all) {
      const received = entries.valueOf(of.name);
      const { keepsReceived, lines } = of.outcome(received !== undefined, record);
      if (keepsReceived && lines.length === 0) continue;
      const values = lines.map(({ value }) => value);
      if (keepsReceived && received !== undefined) values.unshift(received);
      entries.set(of.name, values.length === 0 ? undefined : values.join(','), lines[0]?.name ?? of.name);
    }
  }
}

/** The entries of a message's header map while they are changed. Names are found without regard to case; texts hold one character for each byte. */
export class EntryEdits {
  /** What is different: by the names that the message has, or is to have, values in full characters. Undefined: removed. */
  readonly changes = new Map<string, string | undefined>();
  readonly #received: Iterable<readonly [name: string, value: string]>;

  /** `received`: in full characters, as a codec gives them. */
  constructor(received: Iterable<readonly [name: string, value: string]>) {
    this.#received = received;
  }
  /** The value under a name in lower case, with what was changed so far; undefined: there is none. */
  valueOf(name: string): string | undefined {
    let found: string | undefined;
    for (const [key, value] of this.changes) if (key.toLowerCase() === name && value !== undefined) found = value;
    for (const [key, value] of this.#received) if (key.toLowerCase() === name && !this.changes.has(key)) found = value;
    return found === undefined ? undefined : Buffer.from(found, 'utf8').toString('latin1');
  }
  /** Replaces, adds or removes the entry under `name` (in lower case). `added`: how a name that is not there is written. */
  set(name: string, value: string | undefined, added: string): void {
    const text = value === undefined ? undefined : Buffer.from(value, 'latin1').toString('utf8');
    let isSet = false;
    const names = new Set([...this.#received, ...this.changes].map(([key]) => key));
    for (const key of names) {
      if (key.toLowerCase() !== name) continue;
      this.changes.set(key, isSet ? undefined : text);
      isSet = true;
    }
    if (!isSet && text !== undefined) this.changes.set(added, text);
  }
}

interface Line {
  readonly name: string;
  readonly value: string;
}
/** What becomes of one name in a message. */
interface Outcome {
  /** The lines that were received stay. */
  keepsReceived: boolean;
  readonly lines: Line[];
}
interface Step {
  readonly kind: HeaderChange['kind'];
  readonly name: string;
  readonly constant: string | undefined;
  readonly value: (record: LogRecord) => string;
  readonly keepEmptyValue: boolean;
}

/** All changes of one header name. */
class NameChanges {
  readonly name: string;
  readonly #steps: Step[] = [];
  /** Outcomes where no value depends on the message: made when first needed. */
  #whenReceived: Outcome | undefined;
  #whenAbsent: Outcome | undefined;

  constructor(name: string) {
    this.name = name;
  }
  add(change: HeaderChange): void {
    if (change.kind === 'remove') {
      this.#steps.push({ kind: 'remove', name: change.name, constant: '', value: () => '', keepEmptyValue: true });
      return;
    }
    const { constant, format } = compileTextFormat(change.value, { omitEmptyValues: true });
    if (constant !== undefined && constant.search(NOT_IN_A_VALUE) >= 0)
      throw new ConfigError(`header '${change.name}': the value holds a control character`);
    // Constant values were checked; what an operator brings (a variable of the environment) was not.
    const value = constant === undefined ? (record: LogRecord) => format(record).replace(NOT_IN_A_VALUE, '') : () => constant;
    this.#steps.push({ kind: change.kind, name: change.name, constant, value, keepEmptyValue: change.keepEmptyValue });
  }
  get #isConstant(): boolean {
    return this.#steps.every((step) => step.constant !== undefined);
  }
  /** Header lines that are added to every message, whatever it holds; undefined where that depends on the message. */
  alwaysAdded(): string | undefined {
    if (!this.#isConstant || this.#steps.some((step) => step.kind !== 'APPEND_IF_EXISTS_OR_ADD')) return undefined;
    return this.#run(true, NO_RECORD)
      .lines.map(({ name, value }) => `${name}: ${value}\r\n`)
      .join('');
  }
  outcome(isReceived: boolean, record: LogRecord): Outcome {
    if (!this.#isConstant) return this.#run(isReceived, record);
    if (isReceived) {
      this.#whenReceived ??= this.#run(true, record);
      return this.#whenReceived;
    }
    this.#whenAbsent ??= this.#run(false, record);
    return this.#whenAbsent;
  }
  #run(isReceived: boolean, record: LogRecord): Outcome {
    const outcome: Outcome = { keepsReceived: isReceived, lines: [] };
    for (const step of this.#steps) {
      const value = step.value(record);
      if (value === '' && !step.keepEmptyValue) continue;
      const isThere = outcome.keepsReceived || outcome.lines.length > 0;
      const overwrites = step.kind === 'OVERWRITE_IF_EXISTS_OR_ADD' || (step.kind === 'OVERWRITE_IF_EXISTS' && isThere);
      if (step.kind === 'remove' || overwrites) {
        outcome.keepsReceived = false;
        outcome.lines.length = 0;
      }
      if (overwrites || step.kind === 'APPEND_IF_EXISTS_OR_ADD' || (step.kind === 'ADD_IF_ABSENT' && !isThere))
        outcome.lines.push({ name: step.name, value });
    }
    return outcome;
  }
}
/** For steps that read none. */
const NO_RECORD = undefined as unknown as LogRecord;
