import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, Scalar, visit } from 'yaml';
import { type Decoded, Decoder } from './decode.js';
import { Descriptors, type MessageType } from './descriptors.js';
import { merge } from './merge.js';
import type { Problem } from './problem.js';
import { Origin, placeOf, type Source, SourceMap } from './source-map.js';
import type { Bootstrap } from './types.js';
import { validate } from './validate.js';

/** Longest text that is read, in UTF-16 units. */
export const MAX_TEXT_LENGTH = 64 * 1024 * 1024;
/** Problems of one kind of text that are listed; the rest is counted. */
export const MAX_PROBLEMS = 1000;

/** `auto`: JSON where the file's name ends in `.json`, else YAML, of which JSON is a part. */
export type ConfigFormat = 'yaml' | 'json' | 'auto';

export interface LoadOptions {
  /** Name of the file, for messages and for `auto`. */
  readonly file: string;
  readonly format?: ConfigFormat;
  /** Unknown fields are warnings, not problems (Envoy's `--allow-unknown-static-fields`). Unknown types and enum values stay problems. */
  readonly allowUnknownFields?: boolean;
  /** Merged over the text before it is validated, as `--config-yaml` is over `-c`. */
  readonly overlay?: { readonly text: string; readonly file: string; readonly format?: ConfigFormat };
  /** Types to read with; unset: new ones are made, and freed with the result. */
  readonly descriptors?: Descriptors;
}

/** A decoded message with its places in the text. */
export interface Loaded<Message> {
  /** Unset where there is a problem. */
  readonly message: Message | undefined;
  /** What was understood in spite of the problems, to look for further ones; unset only where the text does not parse. */
  readonly partial: Message | undefined;
  /** Everything that is wrong, by file and line. Empty: the message is valid. */
  readonly problems: readonly Problem[];
  /** What works but deserves a look: deprecated fields, and unknown ones where they are allowed. */
  readonly warnings: readonly Problem[];
  readonly source: SourceMap;
  readonly descriptors: Descriptors;
}

/** A bootstrap with its places in the text. */
export interface LoadedBootstrap extends Omit<Loaded<Bootstrap>, 'message'> {
  /** Unset where there is a problem. */
  readonly bootstrap: Bootstrap | undefined;
}

/** Reads a v3 `Bootstrap` from YAML or JSON (`loadMessage`). Throws nothing for whatever text. */
export function loadBootstrap(text: string, options: LoadOptions): LoadedBootstrap {
  const { message, ...rest } = loadMessage<Bootstrap>(text, 'envoy.config.bootstrap.v3.Bootstrap', options);
  return { bootstrap: message, ...rest };
}

/**
 * Reads one message of the v3 API from YAML or JSON by protobuf's JSON rules, merges the overlay, checks the API's validation rules, and returns the plain
 * object of types.ts or every problem with line, column and field path. Throws only where `typeName` is not a message: a mistake of the caller.
 */
export function loadMessage<Message = Readonly<Record<string, unknown>>>(text: string, typeName: string, options: LoadOptions): Loaded<Message> {
  const descriptors = options.descriptors ?? new Descriptors();
  const type = descriptors.message(typeName);
  if (type === undefined) throw new Error(`no message type ${typeName} is known`);
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const allowUnknownFields = options.allowUnknownFields === true;
  const read = (part: string, file: string, format: ConfigFormat = 'auto'): Decoded | undefined =>
    readText(part, file, format, type, descriptors, { problems, warnings, allowUnknownFields });

  let decoded = read(text, options.file, options.format);
  const { overlay } = options;
  if (overlay !== undefined) {
    const over = read(overlay.text, overlay.file, overlay.format);
    decoded = decoded === undefined || over === undefined ? undefined : merge(decoded, over, type);
  }
  if (decoded === undefined) {
    const lines = new LineCounter();
    lines.addNewLine(0);
    const source = new SourceMap(new Origin({ file: options.file, lines }, 0));
    return { message: undefined, partial: undefined, problems: inOrder(problems, options.file), warnings, source, descriptors };
  }
  problems.push(...withoutEchoes(validate(decoded.value, type, decoded.origin, descriptors), problems));
  const message = decoded.value as Message;
  return {
    message: problems.length === 0 ? message : undefined,
    partial: message,
    problems: inOrder(problems, options.file),
    warnings: inOrder(warnings, options.file),
    source: new SourceMap(decoded.origin),
    descriptors,
  };
}

interface Findings {
  readonly problems: Problem[];
  readonly warnings: Problem[];
  readonly allowUnknownFields: boolean;
}

/** One text decoded; undefined where it does not parse. */
function readText(
  text: string,
  file: string,
  format: ConfigFormat,
  type: MessageType,
  descriptors: Descriptors,
  findings: Findings,
): Decoded | undefined {
  const lines = new LineCounter();
  const source: Source = { file, lines };
  if (text.length > MAX_TEXT_LENGTH) {
    findings.problems.push({
      file,
      line: 1,
      column: 1,
      path: '',
      code: 'TOO_LARGE',
      message: `${text.length} characters, at most ${MAX_TEXT_LENGTH} are read`,
    });
    return undefined;
  }
  const isJson = format === 'json' || (format === 'auto' && file.endsWith('.json'));
  let document: Document.Parsed;
  try {
    // A tab in JSON is white space; in YAML it may not indent. Inside a JSON string neither allows it raw.
    document = parseDocument(isJson ? text.replaceAll('\t', ' ') : text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: false,
      logLevel: 'error',
      keepSourceTokens: false,
    });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    findings.problems.push({ file, line: 1, column: 1, path: '', code: 'TOO_DEEP', message: 'nested too deeply to read' });
    return undefined;
  }
  // The parser is recursive: a text nested without end exhausts its stack, which it throws or notes.
  const exhausted = document.errors.find(({ message }) => message.startsWith('Maximum call stack'));
  if (exhausted !== undefined) {
    findings.problems.push({
      ...placeOf(source, Math.min(exhausted.pos[0], text.length)),
      path: '',
      code: 'TOO_DEEP',
      message: 'nested too deeply to read',
    });
    return undefined;
  }
  const syntax: Problem[] = [];
  let first = Number.POSITIVE_INFINITY;
  let lastOffset = -1;
  const note = (offset: number, message: string): void => {
    if (offset === lastOffset) return; // the parser repeats itself, once for each level it gives up
    lastOffset = offset;
    first = Math.min(first, offset);
    syntax.push({ ...placeOf(source, Math.min(offset, text.length)), path: '', code: 'SYNTAX', message });
  };
  for (const error of document.errors) note(error.pos[0], error.code === 'MULTIPLE_DOCS' ? 'a configuration is one document' : error.message);
  for (const warning of document.warnings) note(warning.pos[0], warning.message);
  if (isJson) notJson(document, note);
  const problems: Problem[] = [];
  const decoded = new Decoder(descriptors, source, problems, findings.warnings, findings.allowUnknownFields).decode(document, type);
  if (syntax.length === 0) {
    findings.problems.push(...problems);
    return decoded;
  }
  // After the first place that does not parse the reader guesses: only what stands before it is certainly wrong as well.
  const limit = placeOf(source, Math.min(first, text.length));
  findings.problems.push(...syntax, ...problems.filter(({ line, column }) => line < limit.line || (line === limit.line && column < limit.column)));
  return undefined;
}

/** What YAML allows in a flow and JSON does not. */
function notJson(document: Document.Parsed, note: (offset: number, message: string) => void): void {
  const root = document.contents as Node | null;
  if (root === null || (isMap(root) && root.flow !== true)) note(root?.range?.[0] ?? 0, 'expected a JSON object');
  visit(document, {
    Alias: (_key, alias) => note(alias.range?.[0] ?? 0, 'JSON has no aliases'),
    Node: (_key, node) => {
      const offset = node.range?.[0] ?? 0;
      if (isScalar(node)) {
        const word = node.source ?? '';
        if (node.type === Scalar.PLAIN && !/^(null|true|false|-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?)$/.test(word)) {
          note(offset, word === '' ? 'a value is missing' : `${word.slice(0, 60)} needs quotes in JSON`);
        } else if (node.type !== Scalar.PLAIN && node.type !== Scalar.QUOTE_DOUBLE) note(offset, 'JSON has only strings in double quotes');
      } else if ((isMap(node) || isSeq(node)) && node.flow !== true && node !== root) note(offset, 'expected JSON');
    },
  });
}

/** A field that could not be decoded or is misspelt is unset afterwards; that it is "required" would be the same error told twice. */
function withoutEchoes(found: readonly Problem[], known: readonly Problem[]): Problem[] {
  const broken = new Set<string>();
  const parents = new Set<string>();
  for (const { path, suggestion } of known) {
    // What failed in an `Any` leaves the whole of it unset.
    const field = path.replace(/\.(@type|type_url|value)$/, '');
    const parent = field.slice(0, Math.max(0, field.lastIndexOf('.')));
    broken
      .add(field)
      .add(path)
      .add(parent === '' ? (suggestion ?? field) : `${parent}.${suggestion ?? ''}`);
    if (field !== '') parents.add(parent);
  }
  // A required oneof is missed at its message: any broken field directly in that may have been the one.
  return found.filter(
    ({ path, code, message }) => code !== 'MISSING_FIELD' || !(message.startsWith('one of ') ? parents.has(path) : broken.has(path)),
  );
}

/** By file (the main one first), line and column; cut at the bound. */
function inOrder(problems: readonly Problem[], mainFile: string): Problem[] {
  const rank = (problem: Problem): number => (problem.file === mainFile ? 0 : 1);
  const sorted = [...problems].sort((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column);
  if (sorted.length <= MAX_PROBLEMS) return sorted;
  const cut = sorted[MAX_PROBLEMS];
  return [...sorted.slice(0, MAX_PROBLEMS), { ...cut, path: '', code: 'TOO_LARGE', message: `${sorted.length - MAX_PROBLEMS} more problems follow` }];
}
