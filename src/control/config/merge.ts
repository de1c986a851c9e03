import { type Decoded, type PlainMessage, put } from './decode.js';
import type { FieldType, MessageType } from './descriptors.js';
import type { Origin } from './source-map.js';

/**
 * Merges `overlay` into `base` as protobuf's `MergeFrom` does: a scalar, `Any` or duration replaces, a list is appended, a map is merged by key, a message
 * field by field, and setting one member of a oneof unsets the others. Changes `base` and its origins, takes parts of `overlay` over, and returns `base`.
 */
export function merge(base: Decoded, overlay: Decoded, type: MessageType): Decoded {
  mergeMessage(base.value, base.origin, overlay.value, overlay.origin, type);
  return base;
}

function mergeMessage(base: PlainMessage, baseOrigin: Origin, overlay: PlainMessage, overlayOrigin: Origin, type: MessageType): void {
  for (const field of type.fields) {
    const name = field.jsonName;
    const value = overlay[name];
    if (value === undefined) continue;
    for (const member of field.oneof?.members ?? []) {
      const other = type.field(member) as FieldType;
      if (other === field) continue;
      delete base[other.jsonName];
      baseOrigin.delete(other.jsonName);
    }
    const known = base[name];
    const from = overlayOrigin.part(name) ?? overlayOrigin;
    const into = baseOrigin.part(name);
    if (known === undefined || into === undefined) {
      base[name] = value;
      baseOrigin.set(name, from);
    } else if (field.keyType !== undefined || field.message?.wellKnown === 'struct') {
      for (const [key, item] of Object.entries(value as PlainMessage)) {
        put(known as PlainMessage, key, item);
        into.set(key, from.part(key) ?? from);
      }
    } else if (field.repeated) {
      for (const [index, item] of (value as unknown[]).entries()) {
        into.set(String((known as unknown[]).length), from.part(String(index)) ?? from);
        (known as unknown[]).push(item);
      }
    } else if (field.message !== undefined && field.message.wellKnown === undefined) {
      mergeMessage(known as PlainMessage, into, value as PlainMessage, from, field.message);
    } else {
      base[name] = value;
      baseOrigin.set(name, from);
    }
  }
}
