/**
 * Same exchanges, however their bytes are split, on either engine: the same requests upstream, the same answers downstream, the same faults. Random requests, good and
 * broken, go through the stream proxy to an upstream that answers by a script; what is compared is each message, not how it was cut into frames.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { data, headers, rst } from '../../codecs/http2/framing/test-support.js';
import type { Engine } from '../../src/network/engine.js';
import { engines } from '../support/engines.js';
import { type FramePeer, type FrameServer, request, response, type SeenFrame } from '../support/frame-peer.js';
import { StreamStage } from '../support/stream-stage.js';

type Fields = readonly (readonly [name: string, value: string])[];
/** How a message goes on after its head. */
interface Body {
  readonly pieces: readonly string[];
  readonly hasLength: boolean;
  readonly end: 'head' | 'last' | 'empty' | 'trailers' | 'reset';
}
interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly more: Fields;
  readonly body: Body;
  readonly interim: number;
  readonly status: number;
  readonly answerMore: Fields;
  readonly answer: Body;
}
interface Script {
  readonly exchanges: readonly Exchange[];
  readonly pieceBytes: number;
}

const piece = fc
  .oneof(fc.string({ maxLength: 20 }), fc.constantFrom('x'.repeat(5000), '\r\n0\r\n\r\n', 'y'.repeat(20_000)))
  .map((text) => Buffer.from(text, 'utf8').toString('latin1').slice(0, 16_000));
const body = fc.record<Body>({
  pieces: fc.array(piece, { maxLength: 4 }),
  hasLength: fc.boolean(),
  end: fc.constantFrom('head', 'last', 'empty', 'trailers', 'last', 'empty', 'reset'),
});
const field = fc.constantFrom<readonly [string, string]>(
  ['x-a', '1'],
  ['cookie', 'a=b'],
  ['cookie', 'c=d'],
  ['te', 'trailers'],
  ['x-long', 'z'.repeat(300)],
  ['authorization', 'secret'],
  ['accept', '*/*'],
  // Broken.
  ['connection', 'close'],
  ['X-Big', '1'],
  ['x-bad', 'a\nb'],
);
const good = field.filter(([name, value]) => name === name.toLowerCase() && name !== 'connection' && !value.includes('\n'));
const fields = fc.oneof({ weight: 6, arbitrary: fc.array(good, { maxLength: 4 }) }, { weight: 1, arbitrary: fc.array(field, { maxLength: 3 }) });
const script = fc.record<Script>({
  exchanges: fc.array(
    fc.record<Exchange>({
      method: fc.constantFrom('GET', 'POST', 'PUT', 'HEAD', 'DELETE', 'BREW'),
      path: fc.constantFrom('/', '/a?b=c', '/%2e%2e/', '*', 'no-slash', '/very/long/'.repeat(20)),
      more: fields,
      body,
      interim: fc.constantFrom(0, 0, 1, 3),
      status: fc.constantFrom(200, 200, 201, 204, 304, 404, 503),
      answerMore: fc.array(good, { maxLength: 3 }).map((all) => all.filter(([name]) => name !== 'te')),
      answer: body,
    }),
    { minLength: 1, maxLength: 5 },
  ),
  pieceBytes: fc.constantFrom(1_000_000, 1_000_000, 700, 61),
});

const lengthOf = (pieces: readonly string[]): number => pieces.reduce((sum, text) => sum + text.length, 0);
/** Frames of a message: its head, and what follows. */
function framesOf(
  stream: number,
  head: (ends: boolean, more: Fields) => Uint8Array,
  { pieces, hasLength, end }: Body,
  mayHaveBody: boolean,
): Uint8Array[] {
  const texts = mayHaveBody ? pieces.filter((text) => text !== '') : [];
  const endsWithHead = !mayHaveBody || end === 'head';
  const length: Fields = hasLength && mayHaveBody ? [['content-length', `${endsWithHead ? 0 : lengthOf(texts)}`]] : [];
  if (endsWithHead) return [head(true, length)];
  const all = [head(false, length), ...texts.map((text, index) => data(stream, text, end === 'last' && index === texts.length - 1))];
  if (end === 'trailers') all.push(headers(stream, [['x-sum', '7']], true));
  else if (end === 'reset') all.push(rst(stream, 8));
  else if (end === 'empty' || texts.length === 0) all.push(data(stream, '', true));
  return all;
}

/** What was said on one stream, whatever the frames. */
function messageOf(frames: readonly SeenFrame[]): string[] {
  const seen: string[] = [];
  let text = '';
  for (const frame of frames) {
    if (frame.name === 'DATA') text += Buffer.from(frame.content ?? []).toString('latin1');
    else if (text !== '') {
      seen.push(`body ${text}`);
      text = '';
    }
    if (frame.name === 'HEADERS') seen.push(`head ${JSON.stringify(frame.fields)}`);
    if (frame.name === 'RST_STREAM') seen.push(`reset ${frame.error}`);
    if (frame.ends) {
      if (text !== '') seen.push(`body ${text}`);
      text = '';
      seen.push('end');
    }
  }
  if (text !== '') seen.push(`body ${text}`);
  return seen;
}
const MESSAGE_FRAMES = ['HEADERS', 'DATA', 'RST_STREAM'];
const isOver = (frames: readonly SeenFrame[]): boolean => frames.some(({ name, ends }) => ends || name === 'RST_STREAM');
const bodyBytes = (frames: readonly SeenFrame[]): number =>
  frames.reduce((sum, { name, content }) => sum + (name === 'DATA' ? (content?.length ?? 0) : 0), 0);
const hasFinalHead = (frames: readonly SeenFrame[]): boolean =>
  frames.some(({ fields }) => fields.some(([name, value]) => name === ':status' && value >= '200'));
const takeMessage = (peer: FramePeer, stream: number): SeenFrame[] =>
  peer.frames.filter((frame) => frame.stream === stream && MESSAGE_FRAMES.includes(frame.name));

async function holdsSoon(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 2000;
  while (!holds() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** One exchange after the other, so that nothing depends on what is quicker. */
async function play(engine: Engine, { exchanges, pieceBytes }: Script): Promise<string[]> {
  const stage = new StreamStage(engine);
  try {
    const server: FrameServer = await stage.frameServer();
    const proxy = await stage.proxy({ port: server.port, down: 'http2', up: 'http2' });
    const client = await stage.frameClient(proxy);
    // Its acknowledgement must not come in the middle of a frame that is sent in pieces.
    await client.next('SETTINGS');
    const outcome: string[] = [];
    let upstreams = 1;
    for (const [index, { method, path, more, body, interim, status, answerMore, answer }] of exchanges.entries()) {
      const stream = 1 + 2 * index;
      const mayHaveBody = method !== 'GET' && method !== 'HEAD';
      const all = framesOf(stream, (ends, length) => request(stream, method, path, ends, [...more, ...length]), body, mayHaveBody);
      const ends = body.end !== 'reset' || !mayHaveBody;
      // A reset comes when the upstream has got the request.
      const last = ends ? undefined : all.pop();
      const bytes = Buffer.concat(all);
      const { frames } = client;
      const resets = () => proxy.events.filter((event) => event.startsWith('request-closed reset')).length;
      const before = resets();
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        client.send(bytes.subarray(at, at + pieceBytes));
        if (pieceBytes < bytes.length && at % (8 * pieceBytes) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const up = () => server.connections[0];
      const id = upstreams;
      const asked = () => (up() === undefined ? [] : takeMessage(up(), id));
      if (last !== undefined) {
        await holdsSoon(() => isOver(takeMessage(client, stream)) || asked().length > 0);
        client.send(last);
      }
      // Refused here, or all of it has arrived there.
      await holdsSoon(() => isOver(takeMessage(client, stream)) || isOver(asked()) || (!ends && resets() > before));
      if (asked().length > 0) upstreams += 2;
      if (isOver(asked()) && ends) {
        const hasBody = method !== 'HEAD' && status !== 204 && status !== 304;
        for (let i = 0; i < interim; i++) up().send(response(id, 103, false, [['link', `</${i}>`]]));
        const answers = framesOf(id, (over, length) => response(id, status, over, [...answerMore, ...length]), answer, hasBody);
        const isReset = answer.end === 'reset' && hasBody;
        const cut = isReset ? answers.pop() : undefined;
        up().send(...answers);
        if (cut !== undefined) {
          // A reset comes when the client has got what was before it: which of the two is quicker is not what is compared.
          await holdsSoon(() => bodyBytes(takeMessage(client, stream)) === lengthOf(answer.pieces) && hasFinalHead(takeMessage(client, stream)));
          up().send(cut);
        }
        await holdsSoon(() => isOver(takeMessage(client, stream)));
      }
      // A request may have been cut off before all of it had gone on.
      outcome.push(
        `exchange ${index}`,
        ...(ends ? messageOf(asked()) : messageOf(asked()).slice(0, 1)),
        '->',
        ...messageOf(frames.filter((frame) => frame.stream === stream)),
      );
    }
    const faults = proxy.events.filter((event) => event.includes('fault'));
    return [...outcome, ...faults, client.isOver ? 'over' : 'open'];
  } finally {
    await stage.close();
  }
}

const all = engines();
test(`${all.map(([name]) => name).join(' and ')}: random exchanges of streams`, { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(script, async (one) => {
      const outcomes: string[][] = [];
      for (const [, create] of all) outcomes.push(await play(create(), one));
      // The same again with every byte at once: on one engine alone it is the split that must not matter.
      outcomes.push(await play(all[0][1](), { ...one, pieceBytes: 1_000_000 }));
      for (const outcome of outcomes) assert.deepEqual(outcome, outcomes[0]);
    }),
    { numRuns: 60, interruptAfterTimeLimit: 60_000 },
  );
});
