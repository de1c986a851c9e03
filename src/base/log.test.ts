import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { CallbackSink, FileSink, LogHub, type LogOptions, parseComponentLevels, silentLogger } from './log.js';

function hubWith(options: LogOptions = {}): { hub: LogHub; lines: string[] } {
  const lines: string[] = [];
  return { hub: new LogHub({ ...options, sink: new CallbackSink((line) => lines.push(line)) }), lines };
}

test('writes lines in the default format with time, thread, level and component', () => {
  const { hub, lines } = hubWith({ thread: 3 });
  hub.logger('router').info('hello');
  assert.match(lines[0], /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\]\[3\]\[info\]\[router\] hello$/);
});

test('a level silences what is below it, and a component level goes over it', () => {
  const { hub, lines } = hubWith({ level: 'warning', components: { router: 'debug' }, format: '%n %l %v' });
  hub.logger('main').info('no');
  hub.logger('main').warning('yes');
  hub.logger('router').debug('yes');
  hub.logger('router').trace('no');
  assert.deepEqual(lines, ['main warning yes', 'router debug yes']);
});

test('levels change while loggers are in use', () => {
  const { hub, lines } = hubWith({ format: '%v' });
  const logger = hub.logger('main');
  logger.debug('before');
  hub.setLevel('debug');
  logger.debug('after');
  hub.setComponentLevel('main', 'off');
  logger.critical('silenced');
  assert.deepEqual(lines, ['after']);
  assert.equal(hub.levels().get('main'), 'off');
  assert.equal(hub.levels().get('upstream'), 'debug');
});

test('a message given as a function is made only where its level is on', () => {
  const { hub, lines } = hubWith({ format: '%v' });
  let made = 0;
  const message = () => `made ${++made}`;
  hub.logger('main').debug(message);
  hub.logger('main').info(message);
  assert.deepEqual(lines, ['made 1']);
});

for (const [format, expected] of [
  ['%L %P %%', `I ${process.pid} %`],
  ['[%8l][%-8l][%=8l]', '[    info][info    ][  info  ]'],
  ['%3!n', 'mai'],
  ['%_', 'one\\ntwo'],
  ['%j', 'one\\ntwo'],
  ['[%g:%#]', '[:]'],
] as const) {
  test(`formats ${format}`, () => {
    const { hub, lines } = hubWith({ format });
    hub.logger('main').info('one\ntwo');
    assert.equal(lines[0], expected);
  });
}

test('an object as format writes one JSON object a line', () => {
  const { hub, lines } = hubWith({ format: { level: '%l', scope: 'sluice %n', msg: '%j', thread: '%t' } });
  hub.logger('main').info('say "hi"\n');
  assert.deepEqual(JSON.parse(lines[0]), { level: 'info', scope: 'sluice main', msg: 'say "hi"\n', thread: '0' });
});

test('refuses an unknown flag in a format and a bad component level', () => {
  assert.throws(() => new LogHub({ format: '%Q' }), /unknown flag %Q/);
  assert.throws(() => parseComponentLevels('router:loud'), /router:loud/);
  assert.deepEqual(
    [...parseComponentLevels('a:debug,b:warn')],
    [
      ['a', 'debug'],
      ['b', 'warning'],
    ],
  );
});

test('goes on in a new file after reopen', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-log-'));
  try {
    const path = join(folder, 'log');
    const hub = new LogHub({ format: '%v', sink: new FileSink(path) });
    hub.logger('main').info('one');
    renameSync(path, `${path}.1`);
    hub.logger('main').info('two');
    hub.reopen();
    hub.logger('main').info('three');
    hub.close();
    assert.equal(readFileSync(`${path}.1`, 'utf8'), 'one\ntwo\n');
    assert.equal(readFileSync(path, 'utf8'), 'three\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a log file that cannot be opened is an error with its path', () => {
  assert.throws(() => new FileSink('/nowhere/at/all/log'), /cannot open the log file \/nowhere\/at\/all\/log/);
});

test('a silent logger says nothing', () => {
  const logger = silentLogger();
  assert.equal(logger.enabled('critical'), false);
});
