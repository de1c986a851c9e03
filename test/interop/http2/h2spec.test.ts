/** The conformance suite h2spec against the proxy, strict. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { engines } from '../../support/engines.js';
import { goMissing, goProgram, run } from '../programs.js';
import { IS_DIRECT, proxied } from './proxied.js';
import { openWebServer } from './web-server.js';

const missing = goMissing();
if (missing !== undefined) console.log(`skipped: ${missing}`);

/** Cases of the suite. */
const CASES = 146;
/** RFC 9113 has no priorities any more (§5.3.2): a stream may depend on itself. */
const OBSOLETE: readonly string[] = [
  'http2/5.3.1 Sends HEADERS frame that depend on itself',
  'http2/5.3.1 Sends PRIORITY frame that depend on itself',
];
/** Where HTTP/1 is spoken as well, bytes without the preface are a bad request in HTTP/1, and get an answer in it before the connection is closed. */
const NOT_HTTP2 = 'http2/3.5 Sends invalid connection preface';

interface Verdict {
  readonly name: string;
  readonly verdict: 'passed' | 'failed' | 'skipped';
}
/** Cases of a report in JUnit's form. */
function verdictsOf(report: string): Verdict[] {
  const cases = report.matchAll(/<testcase package="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>(.*?)<\/testcase>)/gs);
  return [...cases].map(([, section, title, inside = '']) => ({
    name: `${section} ${title.replaceAll('&#34;', '"').replaceAll('&quot;', '"').replaceAll('&amp;', '&')}`,
    verdict: /<(?:failure|error)/.test(inside) ? 'failed' : /<skipped/.test(inside) ? 'skipped' : 'passed',
  }));
}

for (const [engine] of engines())
  for (const codec of ['HTTP2', 'AUTO'] as const)
    test(`${engine}: h2spec --strict on a listener with codec_type ${codec}`, { skip: missing ?? false }, async (context) => {
      const folder = mkdtempSync(join(tmpdir(), 'sluice-h2spec-'));
      context.after(() => rmSync(folder, { recursive: true, force: true }));
      const version = IS_DIRECT ? 'HTTP2' : 'HTTP1';
      const server = await openWebServer(context, version);
      const { port } = await proxied(context, engine, { to: server.port, version, codec });
      const mayFail = codec === 'AUTO' ? [...OBSOLETE, NOT_HTTP2] : OBSOLETE;
      const report = join(folder, 'report.xml');
      const { out, err } = await run(goProgram('h2spec'), ['-p', `${port}`, '--strict', '--junit-report', report, '--timeout', '2', '-P', '/hello']);
      const verdicts = verdictsOf(readFileSync(report, 'utf8'));
      const failed = verdicts.flatMap(({ name, verdict }) => (verdict === 'failed' && !mayFail.includes(name) ? [name] : []));
      assert.deepEqual(failed, [], `${out.slice(out.indexOf('Failures:'))}\n${err}`);
      assert.deepEqual(
        verdicts.flatMap(({ name, verdict }) => (verdict === 'skipped' ? [name] : [])),
        [],
      );
      assert.equal(verdicts.length, CASES);
    });
