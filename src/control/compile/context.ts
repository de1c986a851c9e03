import { readFileSync } from 'node:fs';
import { ConfigError } from '../../base/errors.js';
import type { CreateFileLog } from '../../proxy/access-log/file-access-log.js';
import { createRegexEngine, type RegexEngine } from '../../proxy/regex.js';
import { type CodecSet, NO_CODECS } from '../codecs.js';
import { nearest, type Problem } from '../config/problem.js';
import type { SourceMap } from '../config/source-map.js';
import type { Any } from '../config/types.js';
import { ACCEPTED } from './accepted.js';

/**
 * Codes of the compiler's problems: `UNSUPPORTED` (known to Envoy, not done here), `INVALID` (wrong by its meaning), `DUPLICATE` (a name or match used
 * twice), `UNKNOWN_CLUSTER` (a route leads to nowhere), `MISSING_FIELD`.
 */
export type CompileCode = 'UNSUPPORTED' | 'INVALID' | 'DUPLICATE' | 'UNKNOWN_CLUSTER' | 'MISSING_FIELD';

/** A problem of the compiler: as those of the loader, with a `CompileCode`. */
export interface CompileProblem extends Problem {
  readonly code: CompileCode;
}

export interface CompileOptions {
  /** Where the configuration stands in its text, for the line and column of problems. Without it they have an empty file and line 0. */
  readonly source?: SourceMap | undefined;
  /** Protocols that the configuration may name. Default: none. */
  readonly codecs?: CodecSet | undefined;
  /** Opens access logs. Without it nothing is logged: for validation. */
  readonly createFileLog?: CreateFileLog;
  /** 0 <= r < 1. Default `Math.random`. */
  readonly random?: () => number;
  /** Reads a `filename` of the configuration. Default: the file system. Throws where that fails. */
  readonly readFile?: (path: string) => Uint8Array;
}

/** What one compilation shares: its options, the problems found, and the objects whose fields must all have been looked at in the end. */
export class CompileContext {
  readonly createFileLog: CreateFileLog;
  readonly random: () => number;
  readonly readFile: (path: string) => Uint8Array;
  readonly codecs: CodecSet;
  readonly regex: RegexEngine = createRegexEngine();
  readonly problems: CompileProblem[] = [];
  /** Names of all clusters of the configuration. */
  clusterNames: ReadonlySet<string> = new Set();
  /** Values of the static runtime layers by key, the last layer first. */
  runtime: ReadonlyMap<string, unknown> = new Map();
  readonly #fields: Fields<object>[] = [];

  readonly #source: SourceMap | undefined;

  constructor({ createFileLog, random, readFile, source, codecs }: CompileOptions) {
    this.codecs = codecs ?? NO_CODECS;
    this.#source = source;
    this.createFileLog = createFileLog ?? ((path) => ({ path, write() {}, reopen() {}, flush: async () => {}, close: async () => {} }));
    this.random = random ?? Math.random;
    this.readFile = readFile ?? readFileSync;
  }
  problem(path: string, code: CompileCode, message: string, suggestion?: string): void {
    const place = this.#source?.locate(path) ?? { file: '', line: 0, column: 0 };
    this.problems.push({ ...place, path, code, message, ...(suggestion === undefined ? {} : { suggestion }) });
  }
  /** Opens a message. `type`: its name in the API, for the list of what is accepted without effect. */
  fields<T extends object>(value: T, path: string, type: string): Fields<T> {
    const fields = new Fields<T>(this, value, path, type);
    this.#fields.push(fields as Fields<object>);
    return fields;
  }
  /** Runs what may throw ConfigError or RangeError, and makes a problem of it. */
  attempt<R>(path: string, run: () => R): R | undefined {
    try {
      return run();
    } catch (error) {
      if (!(error instanceof ConfigError || error instanceof RangeError)) throw error;
      this.problem(path, 'INVALID', error.message);
      return undefined;
    }
  }
  /** Says which fields were set but never read: nothing is skipped in silence. */
  reportUnread(): void {
    for (const fields of this.#fields) fields.reportUnread();
  }
  checkCluster(name: string, path: string): void {
    if (this.clusterNames.has(name)) return;
    this.problem(path, 'UNKNOWN_CLUSTER', `there is no cluster '${name}'`, nearest(name, this.clusterNames));
  }
}

/** A message being compiled. Every field that is read is ticked off. */
export class Fields<T extends object> {
  readonly context: CompileContext;
  readonly value: T;
  readonly path: string;
  readonly #type: string;
  readonly #read = new Set<string>(['@type']);

  constructor(context: CompileContext, value: T, path: string, type: string) {
    this.context = context;
    this.value = value;
    this.path = path;
    this.#type = type;
  }
  /** Path of a field. */
  at(name: keyof T & string): string {
    return `${this.path === '' ? '' : `${this.path}.`}${protoName(name)}`;
  }
  get<K extends keyof T & string>(name: K): T[K] {
    this.#read.add(name);
    return this.value[name];
  }
  /** A message field, opened; undefined where it is not set. */
  child<K extends keyof T & string>(name: K, type: string): Fields<NonNullable<T[K]> & object> | undefined {
    const value = this.get(name);
    return value === undefined || value === null ? undefined : this.context.fields(value as NonNullable<T[K]> & object, this.at(name), type);
  }
  /** The messages of a repeated field, opened. */
  list<K extends keyof T & string>(name: K, type: string): Fields<Item<T[K]>>[] {
    const value = (this.get(name) ?? []) as readonly Item<T[K]>[];
    return value.map((item, index) => this.context.fields(item, `${this.at(name)}[${index}]`, type));
  }
  /** The field is known to have no effect here, for the reason that stands beside the call. */
  ignore(...names: (keyof T & string)[]): void {
    for (const name of names) this.#read.add(name);
  }
  problem(name: (keyof T & string) | undefined, message: string, code: CompileCode = 'INVALID', suggestion?: string): void {
    this.context.problem(name === undefined ? this.path : this.at(name), code, message, suggestion);
  }
  reportUnread(): void {
    for (const [name, value] of Object.entries(this.value)) {
      if (this.#read.has(name) || isDefault(value) || Object.hasOwn(ACCEPTED[this.#type] ?? {}, name)) continue;
      this.context.problem(this.at(name as keyof T & string), 'UNSUPPORTED', `${protoName(name)} is not supported`);
    }
  }
}
type Item<L> = NonNullable<L> extends readonly (infer I)[] ? I & object : never;

/** Set to what it would be anyway. */
const isDefault = (value: unknown) =>
  value === undefined || value === false || value === 0 || value === '' || (Array.isArray(value) && value.length === 0);

/** Names whose digits are words of their own. */
const IRREGULAR: Readonly<Record<string, string>> = {
  acceptHttp10: 'accept_http_10',
  defaultHostForHttp10: 'default_host_for_http_10',
  proxy100Continue: 'proxy_100_continue',
};
/** The name of a field in the API. */
export const protoName = (name: string): string => IRREGULAR[name] ?? name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Name of the message in an `Any`. */
export const typeOf = (any: Any | undefined): string => any?.['@type'].slice(any['@type'].lastIndexOf('/') + 1) ?? '';
