import { STATIC_TABLE } from './tables.js';

/** Entries of the static table: indexes 1 to 61. */
export const STATIC_COUNT = STATIC_TABLE.length;
/** Names and values, one behind the other. */
export const STATIC_BYTES: Readonly<Uint8Array> = Buffer.from(STATIC_TABLE.map(([name, value]) => name + value).join(''), 'latin1');
/** Where the name of each index (from 1 on) starts, its length, and that of its value, which follows it. */
export const STATIC_START: Readonly<Int32Array> = starts();
export const STATIC_NAME_BYTES: Readonly<Int32Array> = Int32Array.from([0, ...STATIC_TABLE.map(([name]) => name.length)]);
export const STATIC_VALUE_BYTES: Readonly<Int32Array> = Int32Array.from([0, ...STATIC_TABLE.map(([, value]) => value.length)]);

function starts(): Int32Array {
  const found = new Int32Array(STATIC_TABLE.length + 1);
  let at = 0;
  STATIC_TABLE.forEach(([name, value], index) => {
    found[index + 1] = at;
    at += name.length + value.length;
  });
  return found;
}
