import assert from 'node:assert/strict';
import test from 'node:test';
import { hex } from '../../test/support/codec-frames.js';
import { matchDubbo } from './matcher.js';

test('the magic and a serialization are enough', () => {
  assert.equal(matchDubbo(hex('')), 'more');
  assert.equal(matchDubbo(hex('da')), 'more');
  assert.equal(matchDubbo(hex('dabb')), 'more');
  assert.equal(matchDubbo(hex('dabbc2')), 'yes');
  assert.equal(matchDubbo(hex('dabbc2 00 0000000000005958')), 'yes');
});

test("D6: a serialization of somebody's own making is Dubbo as well", () => assert.equal(matchDubbo(hex('dabbdd')), 'yes'));

test('a frame without a serialization is not', () => {
  assert.equal(matchDubbo(hex('dabbe0')), 'no');
  assert.equal(matchDubbo(hex('dabb00 00')), 'no');
});

for (const line of ['ls\r\n', 'status -l\r\n', 'invoke com.example.Hello.sayHello("x")\r\n', '\r\n', 'GET / HTTP/1.1\r\n']) {
  test(`a line of telnet is not: ${JSON.stringify(line)}`, () => {
    for (let length = 1; length <= line.length; length++) assert.equal(matchDubbo(Buffer.from(line.slice(0, length))), 'no');
  });
}
test('dubbo-thrift, which has another magic, is not', () => assert.equal(matchDubbo(hex('dabc')), 'no'));
