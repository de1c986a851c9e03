/** `sluice codec ...` as somebody uses it who has a protocol of their own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot, selectBackend } from '../../src/base/backend.js';
import { codecCommand } from '../../src/cli/codec/command.js';
import { loadCodec } from '../../src/control/codecs.js';
import { ACK, ethernet, hex, ipv4, pcap, SYN } from '../support/captures.js';
import { COMMAND, inFolder } from '../support/whole-proxy.js';

const ESCAPE = '\x1b';
const CODECS = new URL('../../codecs/', import.meta.url);

/** Runs `sluice codec ARGS` in this process. */
async function codec(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const output = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
  };
  const code = await codecCommand(args, CODECS, output);
  return { code, out, err };
}
/** A fresh codec in a folder of the test's own. */
const withCodec = (template: 'layout' | 'scripted', body: (path: string, folder: string) => Promise<void>) =>
  inFolder(async (folder) => {
    const path = join(folder, 'my-proto');
    assert.equal((await codec('new', 'my-proto', '--template', template, '--dir', path)).code, 0);
    await body(path, folder);
  });
const edit = (file: string, from: string, to: string): void => {
  const text = readFileSync(file, 'utf8');
  assert.ok(text.includes(from), `${file} has ${from}`);
  writeFileSync(file, text.replace(from, to));
};

for (const template of ['layout', 'scripted'] as const) {
  test(`a new codec of template ${template} passes its tests at once, and says nothing of the template`, () =>
    withCodec(template, async (path) => {
      for (const file of readdirSync(path)) assert.doesNotMatch(readFileSync(join(path, file), 'utf8'), /acme/i, file);
      const { code, out, err } = await codec('test', path, '--json');
      assert.deepEqual([code, err], [0, '']);
      const { ok, rules, tests, codec: name } = JSON.parse(out) as Report;
      assert.deepEqual([ok, name, rules.every((rule) => rule.ok), tests.map((own) => own.ok)], [true, 'my-proto', true, [true]]);
    }));

  test(`a new codec of template ${template} type-checks against the installed package`, () =>
    withCodec(template, async (path, folder) => {
      mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
      symlinkSync(packageRoot(), join(folder, 'node_modules/sluice'));
      symlinkSync(join(packageRoot(), 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
      writeFileSync(join(folder, 'package.json'), '{"type": "module"}');
      const tsc = join(packageRoot(), 'node_modules/typescript/bin/tsc');
      const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', path, '--types', 'node'], { encoding: 'utf8' });
      assert.equal(status, 0, stdout);
    }));
}
interface Report {
  readonly ok: boolean;
  readonly codec: string;
  readonly rules: readonly { readonly rule: string; readonly ok: boolean; readonly detail: string }[];
  readonly tests: readonly { readonly ok: boolean; readonly output: string }[];
}

test('new: a name that is a word of TypeScript is one for a codec; upper case, spaces and a folder with something in it are refused', () =>
  inFolder(async (folder) => {
    const at = (name: string) => join(folder, name);
    assert.equal((await codec('new', 'new', '--dir', at('new'))).code, 0);
    assert.equal((await codec('test', at('new'))).code, 0);
    for (const name of ['Upper', 'a b', '../x', '1a', 'a--b', '']) {
      const { code, err } = await codec('new', name, '--dir', at('other'));
      assert.equal(code, 1);
      assert.match(err, /no name for a codec/);
    }
    assert.match((await codec('new', 'again', '--dir', at('new'))).err, /is there already, and not empty/);
    assert.equal(existsSync(at('other')), false);
  }));

test('test: a broken layout fails with the rule and the bytes, in colour where asked for', () =>
  withCodec('layout', async (path) => {
    edit(join(path, 'spec.ts'), 'fixed(14)', 'fixed(15)');
    const { code, out } = await codec('test', path);
    assert.equal(code, 1);
    assert.match(out, /^ {2}FAILED {2}every vector decodes whole\n {10}request: 32 bytes are left over; bytes ac3e0000/m);
    assert.match(out, /^ {2}FAILED {2}codec\.test\.ts$/m);
    assert.match(out, /codec\.test\.ts:11:\d+/m);
    assert.doesNotMatch(out, /node:internal|dist\/src/);
    assert.ok(!out.includes(ESCAPE));
    assert.ok((await codec('test', path, '--color', 'always')).out.includes(`${ESCAPE}[31mFAILED${ESCAPE}[0m`));
  }));

test('test: a decoder that never comes back is ended, and the bytes that it hangs on are told', () =>
  withCodec('scripted', async (path) => {
    edit(join(path, 'decoder.ts'), 'const there = end - start;', 'const there = end - start;\n      while (there === 5) {}');
    const { code, out } = await codec('test', path, '--timeout-s', '1');
    assert.equal(code, 1);
    assert.match(
      out,
      /FAILED {2}every vector decodes the same when cut at every byte\n.* did not answer for 1 s: a loop that does not end; bytes ac5c000000$/m,
    );
  }));

test('test: what an ability throws is told with the line of the codec and the bytes', () =>
  withCodec('scripted', async (path) => {
    edit(join(path, 'index.ts'), 'const name =', "if (request.length > 20) throw new TypeError('oh');\n  const name =");
    const { out } = await codec('test', path);
    assert.match(
      out,
      /FAILED {2}random and mutated bytes .*\n {10}threw TypeError: oh; bytes ac5c[0-9a-f]+\n {14}at nameOf \(.*\/my-proto\/index\.ts:10:34\)/,
    );
  }));

test('test: a codec that claims the bytes of a built-in one is refused', () =>
  withCodec('layout', async (path) => {
    edit(
      join(path, 'index.ts'),
      'match: matchBytes(MAGIC >> 8, MAGIC & 0xff, (kind) => kind < KINDS.length)',
      "match: (head) => (head.length === 0 ? 'more' : 'yes')",
    );
    const { code, out } = await codec('test', path);
    assert.equal(code, 1);
    assert.match(out, /FAILED {2}detection is steady, claims its own bytes and no others\n.*HTTP\/1 GET.*the verdict is yes instead of no/);
  }));

test('test: what is no codec is an error with its place', () =>
  withCodec('layout', async (path, folder) => {
    writeFileSync(join(path, 'vectors.json'), '[{]');
    assert.match((await codec('test', path)).err, /vectors\.json: .*JSON/);
    edit(join(path, 'spec.ts'), 'export const KINDS', 'enum Kind { A }\nexport const KINDS');
    const broken = await codec('test', path);
    assert.equal(broken.code, 1);
    assert.match(broken.err, /^error: codec .*my-proto cannot be loaded: .*spec\.ts:9:1: TypeScript enum is not supported in strip-only mode\n$/);
    assert.match((await codec('test', join(folder, 'nothing'))).err, /there is no folder or module .*nothing, and no built-in codec/);
    assert.match((await codec('test')).err, /expected: sluice codec test PATH/);
    assert.match((await codec('test', path, '--jsn')).err, /error: unknown flag --jsn\n/);
    assert.match((await codec('tets', path)).err, /there is no command sluice codec tets\n/);
  }));

test('the built-in codecs have names: list, test', async () => {
  const { out } = await codec('list', '--json');
  const listed = JSON.parse(out) as { readonly name: string; readonly framing: string }[];
  for (const [name, framing] of [
    ['bolt', 'layout'],
    ['tars', 'scripted'],
    ['kv', 'layout'],
  ])
    assert.equal(listed.find((entry) => entry.name === name)?.framing, framing);
  assert.match((await codec('list')).out, /^bolt +multiplex +layout$/m);
  assert.equal((await codec('test', 'kv', '--runs', '50')).code, 0);
  assert.equal((await codec('test', 'example', '--runs', '50')).code, 0);
});

test('a codec may be JavaScript, and its imports may end in .ts or .js', () =>
  inFolder(async (folder) => {
    writeFileSync(
      join(folder, 'index.mjs'),
      "import { frameLayout, fixed, u16 } from 'sluice/codec';\nimport { NAME } from './name.js';\nimport { POOL } from './pool.ts';\nexport default { name: NAME, pool: POOL, framing: frameLayout({ fields: { size: u16(0) }, length: fixed(2).plus('size') }) };\n",
    );
    writeFileSync(join(folder, 'name.ts'), "export const NAME: string = 'plain';\n");
    writeFileSync(join(folder, 'pool.ts'), "export const POOL = 'pingpong' as const;\n");
    const { name, pool } = await loadCodec({ path: folder });
    assert.deepEqual([name, pool], ['plain', 'pingpong']);
  }));

test('an npm package may be TypeScript; a mistake in it is a problem of the configuration, with both places', () =>
  inFolder(async (folder) => {
    const path = join(folder, 'node_modules/private-codec');
    assert.equal((await codec('new', 'private-codec', '--dir', path)).code, 0);
    writeFileSync(join(path, 'package.json'), '{"name": "private-codec", "type": "module", "exports": "./index.ts"}');
    writeFileSync(join(folder, 'sidecar.json'), JSON.stringify(sidecarWith({ package: 'private-codec' }), undefined, 1));
    const validate = () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'validate', 'sidecar.json'], { cwd: folder, encoding: 'utf8' });
      return { status, text: stdout + stderr };
    };
    assert.deepEqual(validate(), { status: 0, text: "configuration 'sidecar.json' OK\n" });
    edit(join(path, 'spec.ts'), 'const MAGIC =', 'const MAGIC: =');
    const { status, text } = validate();
    assert.equal(status, 1);
    assert.match(
      text,
      /^sidecar\.json:\d+:\d+: .*downstream_protocols\[0\]\.package: codec private-codec cannot be loaded: .*spec\.ts:6:\d+: Unexpected token/,
    );
  }));
/** A sidecar for one protocol. */
function sidecarWith(protocol: object): object {
  const socket = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const typed_config = {
    '@type': 'type.googleapis.com/sluice.extensions.filters.network.rpc_proxy.v1.RpcProxy',
    stat_prefix: 'p',
    downstream_protocols: [protocol],
    route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: 'up' } }] }] },
  };
  const load_assignment = { cluster_name: 'up', endpoints: [{ lb_endpoints: [{ endpoint: { address: socket(1) } }] }] };
  return {
    static_resources: {
      listeners: [{ name: 'in', address: socket(0), filter_chains: [{ filters: [{ name: 'sluice.filters.network.rpc_proxy', typed_config }] }] }],
      clusters: [{ name: 'up', connect_timeout: '1s', load_assignment }],
    },
  };
}

const REQUEST = 'ac3e000000000007000d000000054f72646572732e6372656174656170706c65';
const RESPONSE = 'ac3e010000000007000000000008 6f72646572203432';

test('decode: hex text, field by field', () =>
  withCodec('layout', async (path, folder) => {
    const file = join(folder, 'bytes.txt');
    writeFileSync(file, `${REQUEST} # the request\n${RESPONSE}\nac3e06`);
    const { code, out } = await codec('decode', path, file);
    assert.equal(code, 1);
    const lines = out.split('\n');
    assert.equal(lines[0], 'byte 0  request, id 7, service "Orders", method "create", 32 bytes');
    assert.ok(lines.includes('      2  00                kind           0 request'), out);
    assert.ok(lines.includes('     27  6170706c65        body           5 bytes "apple"'), out);
    assert.ok(lines.includes('byte 32  response, id 7, status 0 (as HTTP 200), 22 bytes'), out);
    assert.ok(out.endsWith('byte 54  my-proto: BAD_KIND at byte 2: 6 is not 0, 1, 2, 3, 4, 5\n  ac3e[06]\n'), out);
  }));

test('decode: raw bytes as lines of JSON, up to a frame that is not whole', () =>
  withCodec('scripted', async (path, folder) => {
    const file = join(folder, 'bytes.bin');
    writeFileSync(file, hex('ac5c0000000000070d054f72646572732e6372656174656170706c65ac5c03'));
    const { code, out } = await codec('decode', path, file, '--json');
    assert.equal(code, 0);
    const [frame, rest] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual([frame.kind, frame.id, frame.service, frame.method, frame.bytes], ['request', '7', 'Orders', 'create', 28]);
    assert.deepEqual(frame.sections[1], { name: 'body', offset: 23, bytes: 5, hex: '6170706c65' });
    assert.deepEqual([rest.offset, rest.left], [28, 3]);
  }));

test('decode: a capture shows both sides in the order of time, and only connections of the protocol', () =>
  withCodec('layout', async (path, folder) => {
    const other = [3, 50_001] as const;
    const server = [2, 7000] as const;
    const client = [1, 50_000] as const;
    const file = join(folder, 'one.pcap');
    writeFileSync(
      file,
      pcap(
        [
          ethernet(ipv4({ sequence: 9, flags: SYN })),
          ethernet(ipv4({ from: server, to: client, sequence: 99, flags: SYN | ACK })),
          ethernet(ipv4({ sequence: 10, bytes: hex(REQUEST.slice(0, 30)) })),
          ethernet(ipv4({ from: other, to: server, sequence: 5, text: 'GET / HTTP/1.1\r\n\r\n' })),
          ethernet(ipv4({ sequence: 25, bytes: hex(REQUEST.slice(30)) })),
          ethernet(ipv4({ from: server, to: client, sequence: 100, bytes: hex(RESPONSE) })),
        ],
        { linkType: 1 },
      ),
    );
    const { code, out, err } = await codec('decode', path, file);
    assert.equal(code, 0);
    assert.equal(err, '1 of 2 TCP connections speak my-proto\n');
    assert.match(out, /^22:13:24\.250 10\.0\.0\.1:50000 > 10\.0\.0\.2:7000 byte 0 {2}request, id 7/);
    assert.match(out, /^22:13:25\.250 10\.0\.0\.2:7000 > 10\.0\.0\.1:50000 byte 0 {2}response, id 7/m);
    const json = (await codec('decode', path, file, '--json')).out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      json.map(({ side, kind, from, time }) => [side, kind, from, time]),
      [
        ['downstream', 'request', '10.0.0.1:50000', '2023-11-14T22:13:24.250Z'],
        ['upstream', 'response', '10.0.0.2:7000', '2023-11-14T22:13:25.250Z'],
      ],
    );
    const all = await codec('decode', path, file, '--port', '7000');
    assert.equal(all.code, 1);
    assert.match(all.out, /BAD_MAGIC at byte 0/);
  }));

test('decode: text of a peer cannot steer the terminal', () =>
  withCodec('scripted', async (path, folder) => {
    const file = join(folder, 'bytes.bin');
    writeFileSync(file, hex('ac5c0000000000070507 612e1b5b32 c29b 1b5d303b78'));
    const { out } = await codec('decode', path, file, '--color', 'never');
    for (const char of out) assert.ok(char === '\n' || (char >= ' ' && !(char >= '\x7f' && char <= '\x9f')), JSON.stringify(char));
    assert.match(out, /method "\\u001b\[2"/);
  }));

test('decode: from standard input; NO_COLOR and --color decide about colours', async () => {
  const run = (args: string[], env: NodeJS.ProcessEnv = {}): string =>
    spawnSync(process.execPath, [COMMAND, 'codec', 'decode', 'kv', '-', ...args], {
      input: '4b02000000000008 00000000',
      encoding: 'utf8',
      env: { ...process.env, ...env },
    }).stdout;
  assert.match(run([]), /^byte 0 {2}heartbeat, id 8, 12 bytes\n/);
  assert.ok(run(['--color', 'always']).includes(`${ESCAPE}[35mheartbeat${ESCAPE}[0m`));
  assert.ok(!run(['--color', 'auto'], { NO_COLOR: '1' }).includes(ESCAPE));
});

test('bench: frames per second of both engines and their ratio', () =>
  withCodec('layout', async (path) => {
    const { code, out } = await codec('bench', path, '--rounds', '3', '--round-ms', '5', '--json', '--body-bytes', '1000');
    assert.equal(code, 0);
    const { bytesPerFrame, native, fallback, ratio } = JSON.parse(out);
    assert.ok(bytesPerFrame > 1000 && fallback.nsPerFrame > 0 && fallback.framesPerSecond > 0, out);
    if (selectBackend().addon === undefined) assert.equal(native, undefined);
    else assert.equal(ratio, fallback.nsPerFrame / native.nsPerFrame);
    assert.match((await codec('bench', path, '--rounds', '1', '--round-ms', '2')).out, /^ {2}fallback +[\d,]+ +\d+\.\d +\d+$/m);
  }));

test('bench: a scripted codec runs in TypeScript alone, and says so', () =>
  withCodec('scripted', async (path) => {
    assert.match(
      (await codec('bench', path, '--rounds', '1', '--round-ms', '2')).out,
      /native +a scripted framing runs in TypeScript on both engines/,
    );
    assert.match((await codec('bench', path, '--body-bytes', '9')).err, /only frames of a layout/);
  }));
