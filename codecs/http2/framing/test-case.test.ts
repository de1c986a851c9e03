/** The public test cases of HTTP/2 frames: https://github.com/http2jp/http2-frame-test-case. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../src/base/backend.js';
import { CodecError } from '../../../src/base/errors.js';
import { FAULTS, type FaultCode } from '../faults.js';
import { encodeFrame, type Http2Frame, parseFrame } from './frame.js';
import { bytes, implementations, PREFACE, settings } from './test-support.js';

interface Case {
  readonly wire: string;
  readonly error: readonly number[] | null;
  readonly frame: {
    readonly length: number;
    readonly type: number;
    readonly flags: number;
    readonly stream_identifier: number;
    readonly frame_payload: Readonly<Record<string, unknown>>;
  } | null;
}
const folder = join(packageRoot(), '..', 'shared/conformance/http2-frame-test-case');
const skip = existsSync(folder) ? false : 'skipped: data not present';
const cases: { name: string; test: Case }[] =
  skip === false
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap(({ name }) =>
          readdirSync(join(folder, name))
            .filter((file) => file.endsWith('.json'))
            .map((file) => ({
              name: `${name}/${file}`,
              test: JSON.parse(readFileSync(join(folder, name, file), 'utf8')) as Case,
            })),
        )
    : [];

const text = (content: Uint8Array | undefined): string | null => (content === undefined ? null : Buffer.from(content).toString('latin1'));
/** A frame in the words of the test cases. */
function payloadOf(frame: Http2Frame): Record<string, unknown> {
  const { content, padding, priority } = frame;
  const pad = { padding_length: padding?.length ?? null, padding: text(padding) };
  const weights = { stream_dependency: priority?.dependency ?? null, weight: priority?.weight ?? null, exclusive: priority?.exclusive ?? null };
  switch (frame.type) {
    case 0:
      return { data: text(content), ...pad };
    case 1:
      return { ...weights, header_block_fragment: text(content), ...pad };
    case 2:
      return { ...weights, ...pad };
    case 3:
      return { error_code: frame.error };
    case 4:
      return { settings: frame.settings };
    case 5:
      return { header_block_fragment: text(content), promised_stream_id: frame.promised, ...pad };
    case 6:
      return { opaque_data: text(content) };
    case 7:
      return { last_stream_id: frame.lastStream, error_code: frame.error, additional_debug_data: text(content) };
    case 8:
      return { window_size_increment: frame.increment };
    default:
      return { header_block_fragment: text(content) };
  }
}

if (skip !== false) test('http2-frame-test-case', { skip }, () => undefined);
for (const { name, test: given } of cases) {
  const wire = Buffer.from(given.wire, 'hex');
  if (given.frame !== null) {
    const { length, type, flags, stream_identifier: stream, frame_payload } = given.frame;
    test(`reads and writes ${name}`, () => {
      const frame = parseFrame(wire);
      assert.ok(frame !== undefined);
      assert.deepEqual([frame.length, frame.type, frame.flags, frame.stream], [length, type, flags, stream]);
      assert.deepEqual(payloadOf(frame), frame_payload);
      assert.deepEqual([...encodeFrame(frame)], [...wire]);
    });
    continue;
  }
  test(`finds the fault of ${name}`, () =>
    assert.throws(
      () => parseFrame(wire),
      (cause) => cause instanceof CodecError && given.error?.includes(FAULTS[cause.code as FaultCode].error),
    ));
  for (const implementation of implementations)
    test(`${implementation.name} connection: ${name}`, () => {
      const event = implementation
        .open('downstream')
        .receive(bytes(PREFACE, settings(), wire))
        .at(-1);
      assert.equal(event?.kind, 'FAULT');
      assert.ok(given.error?.includes(Number(event?.error)), `${event?.fault}`);
    });
}
