/** Bytes written as text: pairs of hex digits, `xxd` and `hexdump -C`. */

/**
 * The bytes of a hex text. White space, `:`, `,` and `-` between digits, `0x` and what stands behind `#` or `//` in a line are skipped; of a dump's lines the
 * offset in front and the characters behind. Undefined: it is no such text.
 */
export function bytesOfHexText(text: string): Uint8Array | undefined {
  // The dump of `hexdump -C` shows its characters between bars; its last line is an offset alone.
  const isDump = /\|$/m.test(text);
  let digits = '';
  for (const line of text.split(/\r?\n/)) {
    const part = isDump ? (line.match(/^[0-9a-f]{7,8} {2}([0-9a-f ]*)\|/i)?.[1] ?? '').replaceAll(' ', '') : digitsOf(line);
    if (!/^[0-9a-f]*$/i.test(part)) return undefined;
    digits += part;
  }
  return digits.length % 2 === 0 && digits !== '' ? new Uint8Array(Buffer.from(digits, 'hex')) : undefined;
}
function digitsOf(line: string): string {
  // `00000010: ac3e 0000 0000  .>....`
  const xxd = line.match(/^[0-9a-f]{7,16}: (.*?)(?: {2}|$)/i);
  const plain = xxd?.[1] ?? line.replace(/(?:#|\/\/).*$/, '');
  return plain.replace(/0x|[\s:,-]/gi, '');
}
