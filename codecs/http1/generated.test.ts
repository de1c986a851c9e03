import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../src/base/backend.js';

test('the generated C++ headers say the same as the TypeScript they come from', () => {
  assert.doesNotThrow(() => execFileSync(process.execPath, [join(packageRoot(), 'native/generate.mjs'), '--check'], { stdio: 'pipe' }));
});
