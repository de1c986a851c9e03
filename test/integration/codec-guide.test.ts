/** docs/codecs.md, done by a machine: every file written, every command run in order in one shell, every output compared. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/base/backend.js';
import { type GuideStep, missingLine, readGuide } from '../support/guide.js';
import { inFolder } from '../support/whole-proxy.js';

const GUIDE_MS = 120_000;
const hasTools = ['bash', 'curl', 'npx'].every((tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0);

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { readonly port: number }).port))),
    ),
  );
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** One script: each block announces itself on both outputs, so that what it printed is known. */
const MARK = '@@@ block ';
function scriptOf(steps: readonly GuideStep[]): string {
  const blocks = steps.map((step, index) => {
    const mark = `echo '${MARK}${index}'`;
    if (step.is === 'commands') return `${mark}\n${step.text}`;
    return `${mark}\nmkdir -p "${dirname(step.path)}"\ncp ".guide/${index}" "${step.path}"`;
  });
  // What runs in the background is this shell's own, and ends with it.
  return ['set -e', "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT", ...blocks, `echo '${MARK}end'`].join('\n');
}

test('docs/codecs.md works as it is written', { skip: hasTools ? false : 'needs bash, curl and npx', timeout: GUIDE_MS + 10_000 }, () =>
  inFolder(async (folder) => {
    const [proxy, server, admin] = await freePorts(3);
    const markdown = readFileSync(join(packageRoot(), 'docs/codecs.md'), 'utf8')
      .replaceAll(/\b7000\b/g, `${proxy}`)
      .replaceAll(/\b7001\b/g, `${server}`)
      .replaceAll(/\b9901\b/g, `${admin}`);
    const steps = readGuide(markdown);
    assert.ok(steps.filter(({ is }) => is === 'commands').length >= 8, 'the guide has commands');
    // As `npm install sluice` leaves it.
    mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true });
    symlinkSync(packageRoot(), join(folder, 'node_modules/sluice'));
    const command = `#!/bin/sh\nexec "${process.execPath}" "${join(packageRoot(), 'dist/src/main.js')}" "$@"\n`;
    writeFileSync(join(folder, 'node_modules/.bin/sluice'), command, { mode: 0o755 });
    writeFileSync(join(folder, 'package.json'), '{"name": "guide", "private": true}');
    mkdirSync(join(folder, '.guide'));
    for (const [index, step] of steps.entries()) if (step.is === 'file') writeFileSync(join(folder, `.guide/${index}`), step.text);
    const { code, output } = await runScript(scriptOf(steps), folder);
    assert.equal(code, 0, output);
    for (const [index, step] of steps.entries()) {
      if (step.is !== 'commands' || step.output === undefined) continue;
      const printed = output.split(`${MARK}${index}\n`)[1].split(MARK)[0];
      assert.equal(missingLine(step.output, printed), undefined, `line ${step.line} of the guide printed\n${printed}`);
    }
  }),
);

function runScript(script: string, cwd: string): Promise<{ readonly code: number | null; readonly output: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], { cwd, env: { ...env, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGTERM'), GUIDE_MS);
    let output = '';
    const add = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', add);
    child.stderr.on('data', add);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output });
    });
  });
}
