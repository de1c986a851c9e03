import { CodecError } from '../../src/base/errors.js';
import { encodeHessianString, HESSIAN_END, HESSIAN_MAP, HESSIAN_NULL, HessianReader } from './hessian.js';

/** Most entries of an attachments map that are looked at. */
export const MAX_ATTACHMENTS = 4096;

/** An entry, as offsets into the body. */
export interface Attachment {
  readonly start: number;
  /** The key is a string. */
  readonly isText: boolean;
  readonly valueAt: number;
  readonly end: number;
  /** Later values do not count what is in it, and it does not refer to others: it may be moved or dropped. */
  readonly isPlain: boolean;
}
/** Where the attachments of a body are. */
export interface AttachmentsMap {
  readonly entries: readonly Attachment[];
  /** From the tag of the map to behind its end; both where one would be, if there is none. */
  readonly start: number;
  readonly end: number;
  /** First entry, or where it would be; `start` where there is no map. */
  readonly entriesAt: number;
}

/** Reads the attachments that come next; a null, or the end of the body, is none. Throws CodecError as HessianReader does. */
export function readAttachments(reader: HessianReader): AttachmentsMap {
  const start = reader.at;
  if (reader.next === HESSIAN_NULL) reader.at++;
  if (reader.isOver || reader.at > start) return { entries: [], start, end: reader.at, entriesAt: start };
  if (!reader.enterMap()) throw new CodecError('dubbo', 'BAD_HESSIAN', start, 'the attachments are no map', 'stream');
  const entriesAt = reader.at;
  const entries: Attachment[] = [];
  while (reader.next !== HESSIAN_END) {
    if (entries.length === MAX_ATTACHMENTS)
      throw new CodecError('dubbo', 'BAD_HESSIAN', reader.at, `more than ${MAX_ATTACHMENTS} attachments`, 'stream');
    const entryAt = reader.at;
    const isText = reader.isAtString;
    const isPlainKey = reader.skipValue();
    const valueAt = reader.at;
    const isPlain = reader.skipValue() && isPlainKey;
    entries.push({ start: entryAt, isText, valueAt, end: reader.at, isPlain });
  }
  reader.at++;
  return { entries, start, end: reader.at, entriesAt };
}
/** An entry's key; undefined where it is not a string. */
export function attachmentKey(bytes: Uint8Array, { start, valueAt, isText }: Attachment): string | undefined {
  return isText ? (new HessianReader(bytes, start, valueAt).string() ?? undefined) : undefined;
}
/** Is that the entry's key? Compares bytes as long as they are ASCII: asked of every entry of every request. Others are decoded, as there is more than one way to write them. */
export function isKey(bytes: Uint8Array, entry: Attachment, name: string): boolean {
  const { start, isText } = entry;
  if (!isText) return false;
  if (bytes[start] < 0x20) {
    if (bytes[start] !== name.length) return false;
    let i = 0;
    for (; i < name.length && bytes[start + 1 + i] < 0x80; i++) if (bytes[start + 1 + i] !== name.charCodeAt(i)) return false;
    if (i === name.length) return true;
  }
  return attachmentKey(bytes, entry) === name;
}
/** Text of an entry's value; undefined where it has none. Of a value that was skipped once, so that nothing is thrown. */
export function attachmentText(bytes: Uint8Array, { valueAt, end, isPlain }: Attachment): string | undefined {
  return isPlain ? new HessianReader(bytes, valueAt, end).text() : undefined;
}

/**
 * The map with entries set (a string) or removed (undefined). Entries nobody changed keep their bytes. An entry that is changed goes, and comes back last.
 * Throws CodecError `FIXED_ATTACHMENT`, of scope `stream`, where an entry cannot go, because a later value counts on it.
 */
export function editAttachments(bytes: Uint8Array, map: AttachmentsMap, changes: ReadonlyMap<string, string | undefined>): Uint8Array {
  const isFollowed = map.end < bytes.length;
  const { entries } = map;
  const parts: Uint8Array[] = [map.entriesAt === map.start ? Uint8Array.of(HESSIAN_MAP) : bytes.subarray(map.start, map.entriesAt)];
  for (const [index, entry] of entries.entries()) {
    const key = attachmentKey(bytes, entry);
    if (key === undefined || !changes.has(key)) {
      parts.push(bytes.subarray(entry.start, entry.end));
      continue;
    }
    if (!entry.isPlain && (isFollowed || entries.slice(index + 1).some(({ isPlain }) => !isPlain))) {
      throw new CodecError('dubbo', 'FIXED_ATTACHMENT', entry.start, `${key}: later values refer to what is in it`, 'stream');
    }
  }
  for (const [name, value] of changes) {
    if (value !== undefined) parts.push(encodeHessianString(name), encodeHessianString(value));
  }
  parts.push(Uint8Array.of(HESSIAN_END));
  return Buffer.concat(parts);
}
