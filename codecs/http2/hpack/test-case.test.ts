/** The public test cases of HPACK, encoded by six implementations: https://github.com/http2jp/hpack-test-case. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../src/base/backend.js';
import { BLOCK } from '../spec.js';
import { decoders, encoders, LIMITS } from './test-support.js';

interface Story {
  readonly cases: readonly {
    readonly seqno: number;
    readonly wire?: string;
    readonly header_table_size?: number;
    readonly headers: readonly Readonly<Record<string, string>>[];
  }[];
}

const folder = join(packageRoot(), '..', 'shared/conformance/hpack-test-case');
const skip = existsSync(folder) ? false : 'skipped: data not present';
const implementationsOf = (): string[] =>
  skip === false
    ? readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map(({ name }) => name)
    : [];
const storiesOf = (name: string): { file: string; story: Story }[] =>
  readdirSync(join(folder, name))
    .filter((file) => file.endsWith('.json'))
    .map((file) => ({ file, story: JSON.parse(readFileSync(join(folder, name, file), 'utf8')) as Story }));
const fieldsOf = (headers: Story['cases'][number]['headers']): [string, string][] => headers.flatMap((field) => Object.entries(field));

if (skip !== false) test('hpack-test-case', { skip }, () => undefined);
for (const { name, open } of decoders)
  for (const peer of implementationsOf().filter((implementation) => implementation !== 'raw-data'))
    test(`${name} decodes the stories of ${peer}`, () => {
      for (const { file, story } of storiesOf(peer)) {
        const decoder = open();
        for (const { seqno, wire, header_table_size, headers } of story.cases) {
          if (header_table_size !== undefined) decoder.setMaxTableBytes(header_table_size);
          const { fields, fault } = decoder.decode(Buffer.from(wire ?? '', 'hex'), BLOCK.FIELDS, LIMITS);
          assert.equal(fault, undefined);
          assert.deepEqual(fields, fieldsOf(headers), `${peer}/${file} case ${seqno}`);
        }
      }
    });
for (const { name, open } of encoders)
  test(`${name} encodes the stories so that they are read back`, { skip }, () => {
    for (const { file, story } of storiesOf('raw-data')) {
      const encoder = open();
      const decoder = decoders[0].open();
      for (const [index, { headers }] of story.cases.entries()) {
        const fields = fieldsOf(headers);
        const { fields: again } = decoder.decode(encoder.fields(fields), BLOCK.FIELDS, LIMITS);
        assert.deepEqual(again, fields, `${file} case ${index}`);
      }
    }
  });
