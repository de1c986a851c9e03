import { CodecError } from '../../src/base/errors.js';
import type { Frame } from '../../src/protocol/frame.js';
import { type AttachmentsMap, attachmentText, isKey, readAttachments } from './attachments.js';
import { HessianReader } from './hessian.js';
import { framing, SERIALIZATION, STATUS } from './spec.js';

/** Texts in front of a request's arguments, in order. */
const HEAD = { DUBBO_VERSION: 0, PATH: 1, VERSION: 2, METHOD: 3, COUNT: 4 } as const;

export { HEAD as REQUEST_HEAD };

/** What a hessian2 body has for the proxy: offsets into it, and texts when asked for. */
export interface Body {
  readonly bytes: Uint8Array;
  /** Where the texts in front of a request's arguments are, and where the last one ends; empty for a response. */
  readonly heads: readonly number[];
  readonly attachments: AttachmentsMap;
}

const SLOT = {
  request: framing.slot('request'),
  event: framing.slot('event'),
  serialization: framing.slot('serialization'),
  status: framing.slot('status'),
};

/**
 * Reads a body as far as it goes: the texts, then over the arguments or the result, to the attachments. Undefined for one that is not hessian2, that is not all there,
 * broken, or beyond a limit: nothing is said about a body that the proxy has not understood to its end, because what is at the end may overrule what is at its start.
 */
export function readBody(frame: Frame): Body | undefined {
  const { memo } = frame;
  if (memo instanceof Memo) return memo.body;
  const body = read(frame);
  frame.memo = new Memo(body);
  return body;
}
/** What `readBody` has found. */
class Memo {
  constructor(readonly body: Body | undefined) {}
}
function read(frame: Frame): Body | undefined {
  if (frame.at(SLOT.serialization) !== SERIALIZATION.HESSIAN2 || frame.at(SLOT.event) === 1 || frame.isPartial) return undefined;
  const bytes = frame.section('body');
  if (bytes.length < frame.sectionBytes('body')) return undefined;
  try {
    return frame.at(SLOT.request) === 1 ? readRequest(bytes) : frame.at(SLOT.status) === STATUS.OK ? readResponse(bytes) : undefined;
  } catch (cause) {
    if (cause instanceof CodecError) return undefined;
    throw cause;
  }
}

/** `dubbo version, path, version, method, parameter types, argument ..., attachments`. */
function readRequest(bytes: Uint8Array): Body {
  const reader = new HessianReader(bytes);
  const heads: number[] = [0];
  for (let i = 0; i < HEAD.COUNT; i++) {
    reader.skipString();
    heads.push(reader.at);
  }
  // Dubbox writes a number here: of the arguments, or -1 and then their types.
  const count = reader.int();
  const given = count === undefined || count === -1 ? countParameters(reader.string() ?? '') : count;
  for (let i = 0; i < given; i++) reader.skipValue();
  return { bytes, heads, attachments: readAttachments(reader) };
}

/** First value of a response's body: what follows it. */
const WITH = { EXCEPTION: 3, VALUE: 4, NULL: 5 } as const;

/** `kind of result, [exception or value], attachments`; without attachments where the request's version is older than 2.0.2. */
function readResponse(bytes: Uint8Array): Body | undefined {
  const reader = new HessianReader(bytes);
  const kind = reader.int();
  if (kind !== WITH.EXCEPTION && kind !== WITH.VALUE && kind !== WITH.NULL) return undefined;
  if (kind !== WITH.NULL) reader.skipValue();
  return { bytes, heads: [], attachments: readAttachments(reader) };
}

/** Number of types in a JVM descriptor, such as `ILjava/lang/String;[[J`. What is no type at all counts as none. */
export function countParameters(descriptor: string): number {
  let count = 0;
  for (let at = 0; at < descriptor.length; at++) {
    if (descriptor[at] === '[') continue;
    if (descriptor[at] === 'L') {
      at = descriptor.indexOf(';', at);
      if (at < 0) return count;
    }
    count++;
  }
  return count;
}

/** One of the texts in front of the arguments. Undefined where it is null, and in a response. */
export function headText({ bytes, heads }: Body, index: number): string | undefined {
  if (heads.length === 0) return undefined;
  return new HessianReader(bytes, heads[index], heads[index + 1]).string() ?? undefined;
}
/** Text of an attachment; of one that is there twice the last one counts, as in Dubbo's own map. */
export function findAttachment({ bytes, attachments }: Body, name: string): string | undefined {
  for (let i = attachments.entries.length - 1; i >= 0; i--) {
    const entry = attachments.entries[i];
    if (isKey(bytes, entry, name)) return attachmentText(bytes, entry);
  }
  return undefined;
}

/** A request's method, without reading further than to it. Undefined as for `readBody`. */
export function readMethod(frame: Frame): string | undefined {
  if (frame.at(SLOT.serialization) !== SERIALIZATION.HESSIAN2 || frame.at(SLOT.event) === 1 || frame.at(SLOT.request) === 0) return undefined;
  try {
    const reader = new HessianReader(frame.section('body'));
    for (let i = 0; i < HEAD.METHOD; i++) reader.skipString();
    return reader.string() ?? undefined;
  } catch (cause) {
    if (cause instanceof CodecError) return undefined;
    throw cause;
  }
}
