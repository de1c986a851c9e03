import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Edits, linesAfter, makeHead } from '../../../test/support/heads.js';
import { emptyRecord } from '../http/log-record.js';
import { compileHeaderChanges, EntryEdits, type HeaderChange } from './header-mutation.js';

const change = (kind: Exclude<HeaderChange['kind'], 'remove'>, name: string, value: string, keepEmptyValue = false): HeaderChange => ({
  kind,
  name,
  value,
  keepEmptyValue,
});
const remove = (name: string): HeaderChange => ({ kind: 'remove', name });
const append = (name: string, value: string) => change('APPEND_IF_EXISTS_OR_ADD', name, value);
const overwrite = (name: string, value: string) => change('OVERWRITE_IF_EXISTS_OR_ADD', name, value);

function run(changes: HeaderChange[], lines: [string, string][], hopByHop: string[] = []): string[] {
  const head = makeHead({}, lines, hopByHop);
  const mutation = compileHeaderChanges(changes);
  const edits = new Edits();
  const record = { ...emptyRecord(), requestHead: head, protocol: 'HTTP/1.1' };
  mutation?.change(head, edits, record);
  mutation?.append(head, edits, record);
  return linesAfter(head, edits);
}

const cases: [title: string, changes: HeaderChange[], lines: [string, string][], after: string[]][] = [
  ['appends beside what is there', [append('X', '1')], [['x', '0']], ['x: 0', 'X: 1']],
  ['adds if absent', [change('ADD_IF_ABSENT', 'x', '1')], [], ['x: 1']],
  ['adds not if there', [change('ADD_IF_ABSENT', 'x', '1')], [['X', '0']], ['X: 0']],
  [
    'overwrites in place, all lines',
    [overwrite('x', '1')],
    [
      ['X', 'a'],
      ['y', '2'],
      ['x', 'b'],
    ],
    ['X: 1', 'y: 2'],
  ],
  ['adds where there is nothing to overwrite', [overwrite('x', '1')], [], ['x: 1']],
  ['overwrites only what is there', [change('OVERWRITE_IF_EXISTS', 'x', '1')], [], []],
  ['overwrites if there', [change('OVERWRITE_IF_EXISTS', 'x', '1')], [['x', '0']], ['x: 1']],
  [
    'removes all lines',
    [remove('X')],
    [
      ['x', 'a'],
      ['y', '2'],
      ['X', 'b'],
    ],
    ['y: 2'],
  ],
  ['removes first, then adds', [remove('x'), append('x', '1')], [['x', '0']], ['x: 1']],
  ['a later level overwrites what an earlier one added', [append('x', '1'), overwrite('x', '2')], [], ['x: 2']],
  ['a later level removes what an earlier one added', [append('x', '1'), remove('x')], [], []],
  ['two values of one name', [append('x', '1'), append('x', '2')], [], ['x: 1', 'x: 2']],
  ['an empty value is left out', [append('x', '')], [], []],
  ['an empty value is kept where asked for', [change('APPEND_IF_EXISTS_OR_ADD', 'x', '', true)], [], ['x: ']],
  ['an empty value does not overwrite', [overwrite('x', '%REQ(y)%')], [['x', '0']], ['x: 0']],
  ['an operator', [append('x', '%REQ(y)%-%PROTOCOL%')], [['y', 'Y']], ['y: Y', 'x: Y-HTTP/1.1']],
  [
    'an operator decides whether there is something to overwrite',
    [append('x', '%REQ(y)%'), change('OVERWRITE_IF_EXISTS', 'x', '2')],
    [['y', '1']],
    ['y: 1', 'x: 2'],
  ],
  ['a per cent sign', [append('x', '100%%')], [], ['x: 100%']],
  ['UTF-8 in the configuration', [append('x', 'é')], [], ['x: \xc3\xa9']],
];
for (const [title, changes, lines, after] of cases) {
  test(title, () => {
    assert.deepEqual(run(changes, lines), after);
  });
}
test('a hop-by-hop line is no place for a new value', () => {
  assert.deepEqual(run([overwrite('x', '1')], [['x', '0']], ['x']), ['x: 1']);
});
test('one mutation serves one message after the other', () => {
  const mutation = compileHeaderChanges([overwrite('x', '%REQ(y)%')]);
  for (const value of ['a', 'b']) {
    const head = makeHead({}, [['y', value]]);
    const edits = new Edits();
    const record = { ...emptyRecord(), requestHead: head };
    mutation?.change(head, edits, record);
    mutation?.append(head, edits, record);
    assert.deepEqual(linesAfter(head, edits), [`y: ${value}`, `x: ${value}`]);
  }
});
test('no change is no mutation', () => {
  assert.equal(compileHeaderChanges([]), undefined);
  assert.equal(compileHeaderChanges([append('x', '')]), undefined);
});
for (const bad of [
  append('host', 'x'),
  append(':path', '/'),
  remove('Content-Length'),
  append('a b', '1'),
  append('x', 'a\r\nb: c'),
  append('x', '%NOPE%'),
]) {
  test(`refuses ${JSON.stringify(bad)}`, () => {
    assert.throws(() => compileHeaderChanges([bad]), { name: 'ConfigError' });
  });
}

test('changes entries of a map: found in any case, appended behind a comma, several of one name made one', () => {
  const mutation = compileHeaderChanges(
    [
      remove('gone'),
      change('OVERWRITE_IF_EXISTS_OR_ADD', 'twice', 'once'),
      change('APPEND_IF_EXISTS_OR_ADD', 'list', 'b'),
      change('ADD_IF_ABSENT', 'list', 'no'),
      change('OVERWRITE_IF_EXISTS', 'absent', 'no'),
      change('APPEND_IF_EXISTS_OR_ADD', 'two words', 'ü'),
      change('APPEND_IF_EXISTS_OR_ADD', 'Host', 'allowed'),
    ],
    'entries',
  );
  const entries = new EntryEdits([
    ['Gone', '1'],
    ['GONE', '2'],
    ['Twice', '1'],
    ['twice', '2'],
    ['List', 'ä'],
    ['kept', 'as it is'],
  ]);
  mutation?.changeEntries(entries, emptyRecord());
  const expected: [string, string | undefined][] = [
    ['Gone', undefined],
    ['GONE', undefined],
    ['Twice', 'once'],
    ['twice', undefined],
    ['List', 'ä,b'],
    ['two words', 'ü'],
    ['Host', 'allowed'],
  ];
  assert.deepEqual([...entries.changes], expected);
  // A second one sees what the first has made.
  compileHeaderChanges([change('APPEND_IF_EXISTS_OR_ADD', 'list', 'c')], 'entries')?.changeEntries(entries, emptyRecord());
  assert.equal(entries.changes.get('List'), 'ä,b,c');
});
