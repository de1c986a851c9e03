import { Edits } from '../../src/protocol/edits.js';
import { Head } from '../../src/protocol/head.js';
import { EDIT, FIELD_WORDS, HEAD, HEAD_FLAG, HOP_BY_HOP, KNOWN_ID, LINE_WORDS } from '../../src/protocol/head-layout.js';

/** A head made without a parser. Text holds one character for each byte. */
export function makeHead(
  start: { method?: string; path?: string; status?: number },
  lines: readonly (readonly [name: string, value: string])[] = [],
  hopByHop: readonly string[] = [],
): Head {
  const { method = 'GET', path = '/', status } = start;
  let text = '';
  const put = (part: string) => {
    const at = text.length;
    text += part;
    return at;
  };
  const ints = new Int32Array(HEAD.FIELDS + lines.length * FIELD_WORDS);
  ints[HEAD.FLAGS] = HEAD_FLAG.HTTP_11 | (status === undefined ? 0 : HEAD_FLAG.RESPONSE);
  ints[HEAD.STATUS] = status ?? 0;
  ints[HEAD.METHOD] = put(method);
  ints[HEAD.METHOD_BYTES] = method.length;
  ints[HEAD.PATH] = put(path);
  ints[HEAD.PATH_BYTES] = path.length;
  ints[HEAD.TARGET] = ints[HEAD.PATH];
  ints[HEAD.TARGET_BYTES] = path.length;
  ints[HEAD.COUNT] = lines.length;
  lines.forEach(([name, value], index) => {
    const id = (KNOWN_ID as Record<string, number>)[name.toLowerCase()] ?? 0;
    const hop = hopByHop.includes(name.toLowerCase()) ? HOP_BY_HOP : 0;
    ints.set([put(name), name.length | (id << 16) | hop, put(value), value.length], HEAD.FIELDS + index * FIELD_WORDS);
    if (id > 0 && ints[HEAD.KNOWN + id - 1] === 0) ints[HEAD.KNOWN + id - 1] = index + 1;
  });
  ints[HEAD.HEAD_BYTES] = text.length;
  return new Head(Buffer.from(text, 'latin1'), ints);
}

/** The header lines that are sent when `edits` are applied to `head`, as `name: value`. */
export function linesAfter(head: Head, edits: Edits): string[] {
  const { ints, bytes } = edits;
  const text = (start: number, length: number) => Buffer.from(bytes.subarray(start, start + length)).toString('latin1');
  const changed = new Map<number, string | undefined>();
  for (let i = 0, at = EDIT.LINES; i < ints[EDIT.COUNT]; i++, at += LINE_WORDS)
    changed.set(ints[at], ints[at + 2] < 0 ? undefined : text(ints[at + 1], ints[at + 2]));
  const lines = head.lines().flatMap(([name, value], index) => {
    if (head.isHopByHop(index)) return [];
    if (!changed.has(index)) return [`${name}: ${value}`];
    const replaced = changed.get(index);
    return replaced === undefined ? [] : [`${name}: ${replaced}`];
  });
  const appended = text(ints[EDIT.APPEND], ints[EDIT.APPEND_BYTES]);
  return [...lines, ...appended.split('\r\n').slice(0, -1)];
}
export { Edits };
