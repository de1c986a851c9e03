import { CodecError } from '../../src/base/errors.js';
import type { HeaderMap } from '../../src/protocol/codec.js';
import type { Frame } from '../../src/protocol/frame.js';
import { attachmentKey, attachmentText, editAttachments, isKey } from './attachments.js';
import { type Body, findAttachment, headText, REQUEST_HEAD, readBody } from './body.js';
import { encodeHessianString, HESSIAN_NULL } from './hessian.js';
import { HEADER_BYTES } from './spec.js';

const NULL = Uint8Array.of(HESSIAN_NULL);

/**
 * What routing sees of a frame: `service`, `method`, `version` and `dubbo` (version of the protocol) of a request, and the attachments of a request or response
 * (`group`, `interface`, `timeout`, ...), of those whose values are text, a number or a boolean. Nothing is read before somebody asks, and then once.
 */
export class DubboHeaderMap implements HeaderMap {
  readonly #frame: Frame;
  #body: Body | undefined | null = null;

  constructor(frame: Frame) {
    this.#frame = frame;
  }

  get(name: string): string | undefined {
    const body = this.#read();
    if (body === undefined) return undefined;
    if (body.heads.length === 0) return findAttachment(body, name);
    switch (name) {
      case 'service':
        return serviceOf(body);
      case 'method':
        return headText(body, REQUEST_HEAD.METHOD);
      case 'version':
        return findAttachment(body, name) ?? headText(body, REQUEST_HEAD.VERSION);
      case 'dubbo':
        return findAttachment(body, name) ?? headText(body, REQUEST_HEAD.DUBBO_VERSION);
      default:
        return findAttachment(body, name);
    }
  }
  /** Each name once, with the value that `get` gives. */
  entries(): Map<string, string> {
    const entries = new Map<string, string>();
    const body = this.#read();
    if (body === undefined) return entries;
    const names = body.heads.length === 0 ? [] : ['service', 'method', 'version', 'dubbo'];
    for (const name of names) {
      const value = this.get(name);
      if (value !== undefined) entries.set(name, value);
    }
    for (const entry of body.attachments.entries) {
      const key = attachmentKey(body.bytes, entry);
      if (key === undefined || names.includes(key)) continue;
      const value = attachmentText(body.bytes, entry);
      if (value === undefined) entries.delete(key);
      else entries.set(key, value);
    }
    return entries;
  }

  #read(): Body | undefined {
    if (this.#body === null) this.#body = readBody(this.#frame);
    return this.#body;
  }
}

/**
 * The service that a provider will look up: the attachment `path`, which overrules the one in front of the arguments there. To route by the other one would let a caller show
 * the proxy one service and call another.
 */
export const serviceOf = (body: Body): string | undefined => findAttachment(body, 'path') ?? headText(body, REQUEST_HEAD.PATH);

/**
 * The frame with entries set or removed. `service`, `method` and `version` change what stands in front of the arguments, and the attachments `path` and `version` where they
 * are there; everything else changes attachments. Throws CodecError of scope `stream` for a change that cannot be made. Undefined where the frame has no place for attachments, or the proxy cannot read it: it goes on as it is.
 */
export function withHeaders(frame: Frame, changes: ReadonlyMap<string, string | undefined>): Uint8Array | undefined {
  const body = readBody(frame);
  if (body === undefined) return undefined;
  const { bytes, attachments } = body;
  const parts: Uint8Array[] = [frame.raw.slice(0, HEADER_BYTES)];
  const edits = new Map(changes);
  let at = 0;
  if (body.heads.length > 0) {
    const isAttachment = (name: string) => attachments.entries.some((entry) => isKey(bytes, entry, name));
    const replaceHead = (index: number, value: Uint8Array): void => {
      parts.push(bytes.subarray(at, body.heads[index]), value);
      at = body.heads[index + 1];
    };
    if (edits.has('service')) {
      const path = edits.get('service');
      replaceHead(REQUEST_HEAD.PATH, needed('service', path));
      if (isAttachment('path')) edits.set('path', path);
      edits.delete('service');
    }
    if (edits.has('version')) {
      const version = edits.get('version');
      replaceHead(REQUEST_HEAD.VERSION, version === undefined ? NULL : encodeHessianString(version));
      if (!isAttachment('version')) edits.delete('version');
    }
    if (edits.has('method')) {
      replaceHead(REQUEST_HEAD.METHOD, needed('method', edits.get('method')));
      edits.delete('method');
    }
  }
  parts.push(bytes.subarray(at, attachments.start));
  parts.push(edits.size === 0 ? bytes.subarray(attachments.start, attachments.end) : editAttachments(bytes, attachments, edits));
  parts.push(bytes.subarray(attachments.end));
  const edited = Buffer.concat(parts);
  edited.writeInt32BE(edited.length - HEADER_BYTES, HEADER_BYTES - 4);
  return edited;
}

function needed(name: string, value: string | undefined): Uint8Array {
  if (value === undefined) throw new CodecError('dubbo', 'FIXED_HEADER', HEADER_BYTES, `a request has a ${name}`, 'stream');
  return encodeHessianString(value);
}
