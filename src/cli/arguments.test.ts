import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeFlags, FLAGS, parseArguments, VALIDATE_FLAGS } from './arguments.js';

const parse = (...args: string[]) => parseArguments(args, FLAGS);

test('reads short flags, long flags and flags with =', () => {
  const { values, errors } = parse('-c', 'a.yaml', '--concurrency=2', '--log-level', 'debug', '--disable-hot-restart');
  assert.deepEqual(errors, []);
  assert.deepEqual(
    [...values],
    [
      ['config-path', 'a.yaml'],
      ['concurrency', 2],
      ['log-level', 'debug'],
      ['disable-hot-restart', true],
    ],
  );
});

test("accepts pilot-agent's arguments without a warning", () => {
  const { warnings, errors } = parse(
    ...['-c', 'etc/istio/proxy/envoy-rev.json', '--drain-time-s', '45', '--drain-strategy', 'immediate', '--local-address-ip-version', 'v4'],
    ...[
      '--file-flush-interval-msec',
      '1000',
      '--disable-hot-restart',
      '--allow-unknown-static-fields',
      '-l',
      'warning',
      '--component-log-level',
      'misc:error',
    ],
    ...['--skip-deprecated-logs', '--concurrency', '2'],
  );
  assert.deepEqual([warnings, errors], [[], []]);
});

for (const flag of [
  ...[
    'config-yaml',
    'concurrency',
    'log-level',
    'component-log-level',
    'log-format',
    'log-path',
    'mode',
    'drain-time-s',
    'drain-strategy',
    'parent-shutdown-time-s',
  ],
  ...[
    'service-cluster',
    'service-node',
    'restart-epoch',
    'base-id',
    'disable-hot-restart',
    'allow-unknown-static-fields',
    'file-flush-interval-msec',
  ],
  ...['file-flush-min-size-kb', 'local-address-ip-version', 'skip-deprecated-logs', 'enable-core-dump', 'admin-address-path', 'version'],
]) {
  test(`knows --${flag}`, () => assert.ok(FLAGS.some(({ name }) => name === flag)));
}

test('an unknown flag is a warning, its value goes with it, and the rest is read', () => {
  const { values, warnings, positional, errors } = parse('--new-flag', 'x', '--other', '--fresh=1', '-c', 'a.yaml');
  assert.deepEqual(warnings, ['unknown flag --new-flag x ignored', 'unknown flag --other ignored', 'unknown flag --fresh ignored']);
  assert.deepEqual([positional, errors, values.get('config-path')], [[], [], 'a.yaml']);
});

for (const [args, error] of [
  [['--concurrency', 'two'], /--concurrency "two": expected a whole number/],
  [['--mode', 'serv'], /--mode "serv": expected one of serve, validate, init_only/],
  [['-c'], /-c needs a value/],
  [['--help=1'], /--help takes no value/],
] as const) {
  test(`refuses ${args.join(' ')}`, () => assert.match(parse(...args).errors[0], error));
}

test('what stands without a flag, and all after --, is positional', () => {
  assert.deepEqual(parseArguments(['a', '--format', 'json', '--', '-b'], VALIDATE_FLAGS).positional, ['a', '-b']);
});

test('the help has a line for every flag that has an effect', () => {
  const text = describeFlags(FLAGS);
  for (const { name, ignored } of FLAGS) assert.equal(text.includes(`--${name}`), !ignored, name);
});
