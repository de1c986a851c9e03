const HEX = '0123456789ABCDEF';

/** A grpc-message as it goes into a header: the UTF-8 bytes 0x20 to 0x7e as they are, `%` and all others as `%XX` ("PROTOCOL-HTTP2: Percent-Encoded"). */
export function encodeGrpcMessage(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text, 'utf8')) {
    if (byte >= 0x20 && byte <= 0x7e && byte !== 0x25) encoded += String.fromCharCode(byte);
    else encoded += `%${HEX[byte >> 4]}${HEX[byte & 15]}`;
  }
  return encoded;
}
/** The text of a grpc-message. An escape that is none stays as it is: a decoder must not fail on one. */
export function decodeGrpcMessage(encoded: string): string {
  if (!encoded.includes('%')) return encoded;
  const bytes = Buffer.from(encoded, 'latin1');
  let length = 0;
  for (let at = 0; at < bytes.length; at++) {
    const value = bytes[at] === 0x25 ? hexByte(bytes, at + 1) : -1;
    if (value >= 0) at += 2;
    bytes[length++] = value >= 0 ? value : bytes[at];
  }
  return bytes.toString('utf8', 0, length);
}
function hexByte(bytes: Uint8Array, at: number): number {
  const [high, low] = [hexDigit(bytes[at]), hexDigit(bytes[at + 1])];
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}
function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
