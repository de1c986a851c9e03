/** The RPC scenarios: what their client and server send, and how `bench/rpc_peer.cc` is run for them. */
import { spawn } from 'node:child_process';
import bolt from '../codecs/bolt/index.js';
import dubbo from '../codecs/dubbo/index.js';
import kv from '../codecs/example/index.js';
import { encodeFrame, type FrameParts } from '../src/protocol/frame-encoder.js';
import type { FrameLayout } from '../src/protocol/frame-layout.js';
import type { LoadResult } from './load.js';
import { toolPath } from './process.js';

/** Connections of the client, and its requests in flight on each. */
export const RPC_CONNECTIONS = 8;
export const RPC_DEPTH = 32;

/** Frames of one protocol as `rpc_peer` takes them: hex, and where their ids and lengths are. */
export interface RpcTraffic {
  /** Name of the codec. */
  readonly codec: string;
  readonly request: string;
  readonly response: string;
  /** Of a request and of a response: what a received one's length is made of, where a sent one's id is, and where a received one's. */
  readonly requestLength: string;
  readonly responseLength: string;
  readonly requestId: string;
  readonly responseId: string;
  readonly requestCopy: string;
  readonly responseCopy: string;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const layout = (framing: unknown): FrameLayout => framing as FrameLayout;
const encode = (framing: unknown, parts: FrameParts): string => hex(encodeFrame(layout(framing), parts));
const filled = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(0x4e);

function boltTraffic(payloadBytes: number): RpcTraffic {
  const pair = (name: string, value: string) => {
    const [key, text] = [Buffer.from(name), Buffer.from(value)];
    const lengths = Buffer.alloc(8);
    lengths.writeUInt32BE(key.length, 0);
    lengths.writeUInt32BE(text.length, 4);
    return Buffer.concat([lengths.subarray(0, 4), key, lengths.subarray(4), text]);
  };
  const header = Buffer.concat([
    pair('service', 'com.example.Greeter:1.0'),
    pair('sofa_head_method_name', 'hello'),
    pair('sofa_head_target_app', 'bench'),
  ]);
  return {
    codec: 'bolt',
    request: encode(bolt.framing, {
      variant: 'v1-request',
      fields: { typeOrVer1: 1, cmdcode: 1, ver2: 1, codec: 1, timeout: 3000 },
      sections: { class: Buffer.from('com.alipay.sofa.rpc.core.request.SofaRequest'), header, content: filled(payloadBytes) },
    }),
    response: encode(bolt.framing, {
      variant: 'v1-response',
      fields: { cmdcode: 2, ver2: 1, codec: 1 },
      sections: { class: Buffer.from('com.alipay.sofa.rpc.core.response.SofaResponse'), content: filled(payloadBytes) },
    }),
    requestLength: '22+u16@14+u16@16+u32@18',
    responseLength: '20+u16@12+u16@14+u32@16',
    requestId: '5:4',
    responseId: '5:4',
    requestCopy: '5:4',
    responseCopy: '5:4',
  };
}

/** A hessian2 string of ASCII, up to 65,535 characters. */
function hessianString(text: string): Buffer {
  const { length } = text;
  const head = length < 32 ? [length] : length < 1024 ? [0x30 + (length >> 8), length & 0xff] : [0x53, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), Buffer.from(text, 'latin1')]);
}
function dubboTraffic(payloadBytes: number): RpcTraffic {
  const text = 'N'.repeat(payloadBytes);
  const attachments = Buffer.concat([
    Buffer.from('H'),
    ...['path', 'com.example.Greeter', 'interface', 'com.example.Greeter'].map(hessianString),
    Buffer.from('Z'),
  ]);
  const call = ['2.0.2', 'com.example.Greeter', '0.0.0', 'hello', 'Ljava/lang/String;', text].map(hessianString);
  const frame = (flags: number, status: number, body: Buffer) => {
    const head = Buffer.alloc(16);
    head.writeUInt16BE(0xdabb, 0);
    head[2] = flags;
    head[3] = status;
    head.writeUInt32BE(body.length, 12);
    return Buffer.concat([head, body]).toString('hex');
  };
  return {
    codec: dubbo.name,
    request: frame(0xc2, 0, Buffer.concat([...call, attachments])),
    response: frame(0x02, 20, Buffer.concat([Buffer.of(0x91), hessianString(text)])),
    requestLength: '16+u32@12',
    responseLength: '16+u32@12',
    requestId: '4:8',
    responseId: '4:8',
    requestCopy: '4:8',
    responseCopy: '4:8',
  };
}

function tarsTraffic(payloadBytes: number): RpcTraffic {
  const text = (tag: number, value: string) => Buffer.concat([Buffer.of((tag << 4) | 6, value.length), Buffer.from(value)]);
  const bytes = (tag: number) => {
    const head = Buffer.alloc(5);
    head[0] = 0x02;
    head.writeUInt32BE(payloadBytes, 1);
    return Buffer.concat([Buffer.of((tag << 4) | 13, 0), head, filled(payloadBytes)]);
  };
  const packet = (...parts: Buffer[]) => {
    const body = Buffer.concat(parts);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(4 + body.length);
    return Buffer.concat([length, body]).toString('hex');
  };
  const id = (tag: number) => Buffer.of((tag << 4) | 2, 0, 0, 0, 0);
  return {
    codec: 'tars',
    request: packet(
      Buffer.from('10012c3c', 'hex'),
      id(4),
      text(5, 'Test.HelloServer.HelloObj'),
      text(6, 'hello'),
      bytes(7),
      Buffer.from('810bb8980ca80c', 'hex'),
    ),
    response: packet(Buffer.from('10012c', 'hex'), id(3), Buffer.from('4c5c', 'hex'), bytes(6), Buffer.from('780c', 'hex')),
    requestLength: 'u32@0',
    responseLength: 'u32@0',
    requestId: '9:4',
    responseId: '8:4',
    requestCopy: 'tars:4',
    responseCopy: 'tars:3',
  };
}

function privateTraffic(payloadBytes: number): RpcTraffic {
  const body = (text: string) => Buffer.concat([Buffer.from(text), filled(payloadBytes - text.length)]);
  return {
    codec: kv.name,
    request: encode(kv.framing, { fields: { kind: 0 }, sections: { body: body('put fruits/apple ') } }),
    response: encode(kv.framing, { fields: { kind: 1 }, sections: { body: body('ok ') } }),
    requestLength: '12+u32@8',
    responseLength: '12+u32@8',
    requestId: '4:4',
    responseId: '4:4',
    requestCopy: '4:4',
    responseCopy: '4:4',
  };
}

/** The protocols that are measured. */
export const RPC_TRAFFIC: Readonly<Record<string, (payloadBytes: number) => RpcTraffic>> = {
  bolt: boltTraffic,
  dubbo: dubboTraffic,
  tars: tarsTraffic,
  private: privateTraffic,
};

/** Arguments of the server. */
export const serverArguments = (port: number, traffic: RpcTraffic): string[] => [
  'serve',
  String(port),
  traffic.requestLength,
  traffic.response,
  traffic.responseId,
  traffic.requestCopy,
];

/** Runs the client, pinned to one core. Throws where it fails or no request came through. */
export function runRpcLoad(program: string, core: number, port: number, traffic: RpcTraffic, seconds: number): Promise<LoadResult> {
  const args = ['load', String(port), traffic.responseLength, traffic.request, traffic.requestId, traffic.responseCopy];
  args.push(String(RPC_CONNECTIONS), String(RPC_DEPTH), String(seconds));
  return new Promise((resolve, reject) => {
    const child = spawn(toolPath('taskset'), ['-c', String(core), program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString('latin1');
    });
    child.on('error', reject);
    child.on('close', (code) => {
      const numbers = output.trim().split(' ').map(Number);
      const [requests, duration, p50Us, p99Us, errors, userUs, sysUs] = numbers;
      if (code !== 0 || numbers.length !== 7) return reject(new Error(`rpc_peer ended with code ${code}:\n${output}`));
      if (!(requests > 0)) return reject(new Error('no request succeeded'));
      resolve({ requests, seconds: duration, p50Ms: p50Us / 1000, p99Ms: p99Us / 1000, errors, loadUs: (userUs + sysUs) / requests });
    });
  });
}
