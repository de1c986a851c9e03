import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Command, configOf, get, inFolder } from '../support/whole-proxy.js';

/** Runs the command to its end. */
async function run(...args: string[]): Promise<{ code: number | string; out: string; err: string }> {
  const command = new Command(args);
  const code = await command.ended;
  return { code, out: command.out, err: command.err };
}

/** A file with this text in a folder of its own. */
const withFile = (text: string, body: (path: string, folder: string) => Promise<void>) =>
  inFolder(async (folder) => {
    const path = join(folder, 'config.yaml');
    writeFileSync(path, text);
    await body(path, folder);
  });

const BROKEN = `static_resources:
  listeners:
  - name: in
    addres: { socket_address: { address: 127.0.0.1, port_value: 0 } }
  clusters:
  - name: web
    type: STATICC
`;

test('--version and --help', async () => {
  assert.match((await run('--version')).out, /^sluice {2}version: sluice\/\d+\.\d+\.\d+\//);
  const { code, out } = await run('--help');
  assert.equal(code, 0);
  for (const word of ['sluice run -c FILE', 'sluice validate FILE', '--concurrency N', 'SIGUSR1', 'SLUICE_BACKEND'])
    assert.ok(out.includes(word), word);
});

test('a valid configuration is OK, by the command and by --mode validate', () =>
  withFile(JSON.stringify(configOf()), async (path) => {
    const expected = { code: 0, out: `configuration '${path}' OK\n`, err: '' };
    assert.deepEqual(await run('validate', path), expected);
    assert.deepEqual(await run('--mode', 'validate', '-c', path), expected);
    const json = await run('validate', path, '--format', 'json');
    assert.deepEqual([json.code, JSON.parse(json.out)], [0, []]);
  }));

test('a broken configuration: every problem at once, with place, path and nearest spelling', () =>
  withFile(BROKEN, async (path) => {
    const { code, err } = await run('validate', path);
    assert.equal(code, 1);
    assert.ok(err.includes(`${path}:4:5: static_resources.listeners[0].addres: `), err);
    assert.match(err, /did you mean address\?/);
    assert.match(err, /:7:\d+: static_resources\.clusters\[0\]\.type: .*did you mean STATIC\?/);
    const problems = JSON.parse((await run('validate', path, '--format=json')).out);
    assert.deepEqual(
      problems.map(({ line }: { line: number }) => line),
      [3, 4, 7], // 3: no filter chain
    );
    assert.equal(problems[1].suggestion, 'address');
  }));

test('a start with a broken or missing configuration ends with 1 and the reason', () =>
  withFile(BROKEN, async (path, folder) => {
    const broken = await run('-c', path);
    assert.equal(broken.code, 1);
    assert.match(broken.err, /did you mean address\?/);
    const missing = await run('-c', join(folder, 'nothing.yaml'));
    assert.equal(missing.code, 1);
    assert.match(missing.err, /nothing\.yaml/);
    assert.match((await run()).err, /no configuration: sluice run -c FILE/);
    assert.match((await run('valdate', path)).err, /unexpected arguments valdate/);
  }));

test('an unknown flag warns and does not stop the start; --config-yaml is merged over the file', () =>
  withFile(JSON.stringify(configOf({ adminPort: null })), async (path, folder) => {
    const overlay = '{admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}, node: {id: from-overlay}}';
    const command = new Command([
      ...['-c', path, '--config-yaml', overlay, '--brand-new-flag', 'x', '--concurrency', '1', '--admin-address-path', join(folder, 'admin')],
      ...['--service-cluster', 'from-flag', '-l', 'info', '--log-format', '%l|%n|%v', '--disable-hot-restart'],
    ]);
    const admin = await command.admin(join(folder, 'admin'));
    const info = JSON.parse((await get(`${admin}/server_info`)).text);
    assert.deepEqual([info.node.id, info.node.cluster], ['from-overlay', 'from-flag']);
    await command.saysOnError('info|main|all clusters and listeners are initialized');
    command.kill('SIGTERM');
    assert.equal(await command.ended, 0);
    assert.match(command.err, /^warning: unknown flag --brand-new-flag x ignored\n/);
  }));

test('a wrong value names the flag and what is expected', async () => {
  const { code, err } = await run('-c', 'x', '--concurrency', 'many', '--mode', 'wild');
  assert.equal(code, 1);
  assert.match(err, /--concurrency "many": expected a whole number\n.*--mode "wild": expected one of serve, validate, init_only/);
});
