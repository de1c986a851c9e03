/** A ready-made header line, with its CRLF, for `Edits.appendBytes`. */
export const line = (name: string, value: string): Uint8Array => Uint8Array.from(Buffer.from(`${name}: ${value}\r\n`, 'latin1'));
