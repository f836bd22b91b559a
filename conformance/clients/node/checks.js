// One check after the other, counted for each client; at the end a line for each that says what was exercised.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual, inspect } from 'node:util';

const require = createRequire(import.meta.url);
const clients = [];
let current;

export const server = {
  host: process.env.TARN_HOST,
  port: Number(process.env.TARN_PORT),
  user: 'tarn',
  database: 'lake',
};

function version(name) {
  let folder = dirname(require.resolve(name));
  for (;;) {
    try {
      const description = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
      if (description.name === name) return description.version;
    } catch (error) {
      if (error.code !== 'ENOENT') throw error;
    }
    folder = dirname(folder);
  }
}

// Runs the work of one client.
export async function client(name, packageName, exercised, work) {
  current = { name, version: version(packageName), exercised, passed: 0, failed: 0 };
  clients.push(current);
  try {
    await work();
  } catch (error) {
    current.failed += 1;
    const place = (error.stack ?? '').split('\n').find((line) => /\/[a-z]+\.js:\d+/.test(line) && !line.includes('node_modules'));
    console.log(`  ${name}: ${String(error.message).replace(/\s+/g, ' ')} ${place?.trim() ?? ''} ${error.sql ?? error.query ?? ''}`);
  }
}

export function equal(what, got, expected) {
  const good = isDeepStrictEqual(got, expected);
  current[good ? 'passed' : 'failed'] += 1;
  if (!good) console.log(`  ${current.name}: ${what}: got ${inspect(got)}, expected ${inspect(expected)}`);
}

// The SQLSTATE that a promise ends with.
export async function state(promise) {
  try {
    await promise;
  } catch (error) {
    return error.code ?? error.original?.code ?? error.driverError?.code;
  }
  return 'no error';
}

export function finish() {
  let [passed, failed] = [0, 0];
  for (const one of clients) {
    passed += one.passed;
    failed += one.failed;
    console.log(`client | ${one.name} | ${one.version} | ${one.exercised} | ${one.passed} passed, ${one.failed} failed`);
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(passed > 0 && failed === 0 ? 0 : 1);
}
