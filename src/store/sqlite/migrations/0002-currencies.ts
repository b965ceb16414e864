/**
 * Currencies, periods of caps, daily sums, usage by account and time, audit and prices.
 * What was written before is US dollars: its ids and books get the names that they have from here on, and its sums are
 * made from the rows there are.
 */
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

export const currencies: Migration = {
  async up(db: Kysely<unknown>) {
    for (const step of [...ACCOUNTS_AND_KEYS, ...TRANSFERS, ...USAGE, ...RECORDS]) await sql.raw(step).execute(db)
  },
}

const ACCOUNTS_AND_KEYS = [
  'alter table account add column diem_allowance_nano integer not null default 0',
  'alter table account add column wallet text',
  'alter table account add column closed_at integer',
  'create unique index account_by_wallet on account (wallet)',
  'alter table api_key rename column spend_cap_nano to cap_usd_nano',
  "alter table api_key add column cap_period text not null default 'LIFETIME'",
  'alter table api_key add column cap_diem_nano integer',
  'alter table api_key add column cap_vcu_nano integer',
  "alter table api_key add column model_privacy text not null default 'ALL'",
  'alter table api_key add column models text',
  'alter table api_key add column last_used_at integer',
  'create index api_key_by_account on api_key (account_id, created_at)',
]

const TRANSFERS = [
  // A small number per account: it begins the key of every usage row.
  'create table payer (seq integer primary key, id text not null unique) strict',
  `insert into payer (id)
     select account_id from usage_kind union select substr(id, 9) from book where id like 'account:%' order by 1`,
  "alter table book add column currency text not null default 'USD'",
  'alter table transfer add column payer_seq integer',
  `update transfer set payer_seq = (select payer.seq from payer join usage_kind on account_id = payer.id
     join usage_record on kind_seq = usage_kind.seq where transfer_seq = transfer.seq limit 1) where kind = 'settle'`,
  `update transfer set payer_seq = (select payer.seq from payer join book on 'account:' || payer.id = book.id
     where book.seq in (to_book, from_book)) where payer_seq is null`,
  "update transfer set id = id || ':USD' where kind = 'settle'",
  "update transfer set id = 'topup:bank:' || substr(id, 7) where kind = 'topup'",
  // Charges are found by their usage; everything else is rare.
  "create index transfer_by_payer on transfer (payer_seq, seq) where kind <> 'settle'",
  "create index transfer_minted on transfer (to_book) where kind = 'allowance'",
]

const USAGE = [
  `create table usage_kind_next (
     seq integer primary key, payer_seq integer not null, key_id text not null, model text not null, modality text not null,
     unit text not null, price_nano integer not null, currency text not null,
     unique (payer_seq, key_id, model, unit, price_nano, modality, currency)) strict`,
  `insert into usage_kind_next
     select usage_kind.seq, payer.seq, key_id, model, modality, unit, price_nano, 'USD'
       from usage_kind join payer on payer.id = account_id`,
  `create table usage_record_next (
     payer_seq integer not null, at integer not null, transfer_seq integer not null, line integer not null,
     kind_seq integer not null references usage_kind_next (seq), count integer not null,
     amount integer not null check (amount >= 0), execution_ms integer not null,
     primary key (payer_seq, at, transfer_seq, line)) strict, without rowid`,
  `insert into usage_record_next
     select kind.payer_seq, transfer.at, transfer_seq, line, kind_seq, count, usage_record.amount, execution_ms
       from usage_record join transfer on transfer.seq = transfer_seq join usage_kind_next as kind on kind.seq = kind_seq
       order by 1, 2, 3, 4`,
  `create table usage_day (
     payer_seq integer not null, day integer not null, kind_seq integer not null, count integer not null,
     amount integer not null, requests integer not null, primary key (payer_seq, day, kind_seq)) strict, without rowid`,
  `insert into usage_day
     select payer_seq, at / 86400000, kind_seq, sum(count), sum(amount), count(*) from usage_record_next group by 1, 2, 3`,
  `create table key_day (
     key_id text not null, day integer not null, usd integer not null, diem integer not null,
     primary key (key_id, day)) strict, without rowid`,
  `insert into key_day
     select key_id, day, sum(amount), 0 from usage_day join usage_kind_next on seq = kind_seq group by 1, 2 having sum(amount) > 0`,
  'drop table usage_record',
  'drop table usage_kind',
  'drop table key_spend',
  'alter table usage_kind_next rename to usage_kind',
  'alter table usage_record_next rename to usage_record',
]

const RECORDS = [
  'create index refusal_by_time on refusal (at)',
  `create table audit (
     seq integer primary key, at integer not null, by_key_id text not null, action text not null, object text not null,
     details text not null) strict`,
  'create index audit_by_time on audit (at)',
  `create table price (
     seq integer primary key, id text not null unique, model text not null, unit text not null, price_nano integer not null,
     extended integer not null, starts_at integer not null, created_at integer not null) strict`,
]
