// The two drivers: pg with pg-cursor and pg-copy-streams, and postgres.js.
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import pg from 'pg';
import { from, to } from 'pg-copy-streams';
import Cursor from 'pg-cursor';
import postgres from 'postgres';
import { equal, server, state } from './checks.js';

export async function nodePg() {
  const client = new pg.Client(server);
  await client.connect();
  await client.query('CREATE TABLE node_rows (id bigint, name text, price numeric(10,2), at timestamptz, tags text[], doc jsonb, raw bytea, good boolean)');
  const at = new Date('2026-02-03T04:05:06.789Z');
  const values = [7, 'zwölf', '12.50', at, ['a', 'b c'], { a: [1, 2] }, Buffer.from([0, 255]), true];
  await client.query('INSERT INTO node_rows VALUES ($1, $2, $3, $4, $5, $6, $7, $8)', values);
  const { rows, fields, rowCount, command } = await client.query('SELECT * FROM node_rows WHERE id = $1', [7]);
  equal('types', rows[0], { id: '7', name: 'zwölf', price: '12.50', at, tags: ['a', 'b c'], doc: '{"a":[1,2]}', raw: Buffer.from([0, 255]), good: true });
  equal('fields', [fields.length, fields[2].name, rowCount, command], [8, 'price', 1, 'SELECT']);
  for (let run = 0; run < 7; run++) {
    const named = await client.query({ name: 'by id', text: 'SELECT name FROM node_rows WHERE id = $1', values: [7], rowMode: 'array' });
    equal('named statement', named.rows, [['zwölf']]);
  }
  const several = await client.query('SELECT 1 AS a; SELECT 2 AS b');
  equal('several results', several.map((result) => result.rows), [[{ a: 1 }], [{ b: 2 }]]);
  equal('SQLSTATE', await state(client.query('SELECT * FROM nothing WHERE id = $1', [1])), '42P01');
  await client.query('BEGIN');
  await client.query('DELETE FROM node_rows');
  equal('in a transaction', await state(client.query('SELECT 1 / 0')), '22012');
  equal('aborted', await state(client.query('SELECT 1')), '25P02');
  await client.query('ROLLBACK');
  equal('rollback', (await client.query('SELECT count(*)::int AS n FROM node_rows')).rows, [{ n: 1 }]);
  const cursor = client.query(new Cursor('SELECT x FROM generate_series(1, 25) AS g(x) WHERE x <= $1', [25]));
  const portions = [];
  for (let read = await cursor.read(10); read.length > 0; read = await cursor.read(10)) portions.push(read.length);
  await cursor.close();
  equal('cursor', portions, [10, 10, 5]);
  equal('any', (await client.query('SELECT count(*) AS n FROM node_rows WHERE id = ANY($1)', [[7, 8]])).rows[0].n, '1');
  await client.end();
  const pool = new pg.Pool({ ...server, max: 3 });
  const answers = await Promise.all([1, 2, 3, 4, 5].map((n) => pool.query('SELECT $1::int AS n', [n * 2])));
  equal('pool', answers.map((answer) => answer.rows[0].n), [2, 4, 6, 8, 10]);
  await pool.end();
}

export async function copyStreams() {
  const client = new pg.Client(server);
  await client.connect();
  await client.query('CREATE TABLE copy_rows (id bigint, name text)');
  const lines = Array.from({ length: 20000 }, (_, n) => `${n}\tname ${n}\n`);
  const into = client.query(from('COPY copy_rows FROM STDIN'));
  await pipeline(Readable.from(lines), into);
  equal('rows in', into.rowCount, 20000);
  const out = client.query(to('COPY (SELECT * FROM copy_rows WHERE id < 3 ORDER BY id) TO STDOUT (FORMAT csv, HEADER)'));
  let text = '';
  for await (const piece of out) text += piece;
  equal('rows out', [text, out.rowCount], ['id,name\n0,name 0\n1,name 1\n2,name 2\n', 3]);
  let bytes = 0;
  for await (const piece of client.query(to('COPY copy_rows TO STDOUT'))) bytes += piece.length;
  equal('all rows out', bytes, lines.join('').length);
  equal('bad data', await state(pipeline(Readable.from(['x\ty\n']), client.query(from('COPY copy_rows FROM STDIN')))), '22P02');
  const broken = Readable.from((async function* () { yield '1\ta\n'; throw new Error('the source broke'); })());
  equal('a source that breaks', await state(pipeline(broken, client.query(from('COPY copy_rows FROM STDIN')))), undefined);
  equal('nothing is left of those', (await client.query('SELECT count(*)::int AS n FROM copy_rows')).rows, [{ n: 20000 }]);
  await client.end();
}

export async function postgresJs() {
  const sql = postgres({ ...server, max: 2, onnotice: () => {} });
  await sql`CREATE TABLE js_rows (id bigint, name text, price numeric(10,2), at timestamptz, tags text[], good boolean, number integer)`;
  const at = new Date('2026-02-03T04:05:06.789Z');
  await sql`INSERT INTO js_rows ${sql({ id: 7, name: 'zwölf', price: '12.50', at, tags: ['a', 'b c'], good: true, number: 3 })}`;
  const many = [8, 9, 10].map((id) => ({ id, name: `n${id}` }));
  await sql`INSERT INTO js_rows ${sql(many)}`;
  const rows = await sql`SELECT * FROM js_rows WHERE id = ${7}`;
  equal('types', { ...rows[0] }, { id: '7', name: 'zwölf', price: '12.50', at, tags: ['a', 'b c'], good: true, number: 3 });
  equal('columns', rows.columns.map((column) => column.name).slice(0, 2), ['id', 'name']);
  equal('in', (await sql`SELECT id FROM js_rows WHERE id IN ${sql([8, 9])} ORDER BY id`).map((row) => row.id), ['8', '9']);
  equal('update', (await sql`UPDATE js_rows SET ${sql({ name: 'new' }, 'name')} WHERE id = ${8}`).count, 1);
  equal('SQLSTATE', await state(sql`SELECT nothing FROM js_rows WHERE id = ${1}`), '42703');
  await sql.begin(async (inside) => {
    await inside`DELETE FROM js_rows WHERE id = ${9}`;
    await inside.savepoint(async (saved) => {
      await saved`DELETE FROM js_rows`;
      throw new Error('back');
    }).catch(() => {});
  });
  equal('transaction and savepoint', (await sql`SELECT count(*)::int AS n FROM js_rows`)[0].n, 3);
  const portions = [];
  await sql`SELECT x FROM generate_series(1, 25) AS g(x)`.cursor(10, (read) => { portions.push(read.length); });
  equal('cursor', portions, [10, 10, 5]);
  const description = await sql`SELECT id, name FROM js_rows WHERE id = ${1} AND at < ${at}`.describe();
  equal('describe', description.types, [20, 1184]);
  equal('unsafe', (await sql.unsafe('SELECT 1 AS a; SELECT 2 AS b')).map((result) => ({ ...result[0] })), [{ a: 1 }, { b: 2 }]);
  await sql.end();
}
