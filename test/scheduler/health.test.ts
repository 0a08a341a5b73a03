import { describe, expect, test } from 'vitest';
import { NoAnswerError } from '../../src/kubernetes/apiError.ts';
import { Health, type HealthState } from '../../src/scheduler/health.ts';
import { OutageLog, TroubleLog } from '../../src/scheduler/logging.ts';
import type { LoopStatus } from '../../src/scheduler/loop.ts';
import { VirtualClock } from '../kubernetes/clocks.ts';

const IDLE: LoopStatus = { cycles: 1, runningSinceMs: Number.NaN, lastSuccessMs: 5, failures: 0, isWorkWaiting: false };
const WELL: HealthState = { loop: IDLE, isSynced: true, rank: 'leader', isStopping: false };

function setUp() {
  const clock = new VirtualClock();
  const server = { isThere: true, asked: 0 };
  let state: HealthState = WELL;
  const health = new Health(
    clock,
    () => state,
    () => ({
      request: async () => {
        server.asked++;
        if (!server.isThere) throw new NoAnswerError('API_UNREACHABLE', 'refused', false);
        return { status: 200, headers: {}, body: Buffer.alloc(0) };
      },
    }),
  );
  const ready = (change: Partial<HealthState> = {}): Promise<string | undefined> => {
    state = { ...WELL, ...change };
    return health.ready() as Promise<string | undefined>;
  };
  return { clock, server, health, ready };
}

describe('ready', () => {
  test('a leader after its first cycle, a standby with all objects; nobody before somebody leads', async () => {
    const { ready } = setUp();
    expect(await ready()).toBeUndefined();
    expect(await ready({ rank: 'standby', loop: undefined })).toBeUndefined();
    expect(await ready({ rank: 'nobody leads', loop: undefined })).toBe('nobody holds the lease yet');
    expect(await ready({ loop: undefined })).toBe('no scheduling cycle has finished yet');
    expect(await ready({ loop: { ...IDLE, lastSuccessMs: Number.NaN } })).toBe('no scheduling cycle has finished yet');
    expect(await ready({ loop: { ...IDLE, failures: 2 } })).toBe('the last 2 scheduling cycle(s) failed');
    expect(await ready({ isSynced: false })).toBe('the watched objects are not complete yet');
    expect(await ready({ isStopping: true })).toBe('stopping');
  });

  test('only while the API server answers, which is asked when it has been silent', async () => {
    const { clock, server, health, ready } = setUp();
    health.answered();
    server.isThere = false;
    await clock.advance(9_999);
    expect([await ready(), server.asked]).toEqual([undefined, 0]);
    await clock.advance(1);
    expect(await ready({ rank: 'standby', loop: undefined })).toBe('the API server does not answer: refused');
    server.isThere = true;
    expect([await ready(), server.asked]).toEqual([undefined, 2]);
  });
});

test('a trouble that comes again and again is told once per reason, and when it is over', () => {
  const lines: string[] = [];
  const trouble = new TroubleLog({ info: (text: string) => lines.push(text), warn: (text: string) => lines.push(text) } as never, 'lease');
  trouble.over();
  for (let i = 0; i < 50; i++) trouble.tell(i % 2 === 0 ? `no answer within ${i} ms` : 'refused');
  trouble.over();
  trouble.over();
  trouble.tell('refused');
  expect(lines).toEqual(['lease: no answer within 0 ms', 'lease: refused', 'lease: well again', 'lease: refused']);
});

test('an outage is told once per list, and once when it is over for all', () => {
  const lines: string[] = [];
  const tell = (fields: { readonly list?: string }, text: string) => lines.push(`${fields.list ?? ''} ${text}`);
  const outage = new OutageLog({ info: tell, warn: tell } as never);
  outage.over('pods');
  for (let i = 0; i < 5; i++) for (const list of ['pods', 'nodes']) outage.tell(list, `no answer within ${i} ms`);
  outage.over('pods');
  outage.tell('pods', 'refused');
  outage.over('nodes');
  outage.over('nodes');
  outage.over('pods');
  outage.tell('pods', 'refused');
  const again = 'tried again until it succeeds';
  expect(lines).toEqual([
    `pods no answer within 0 ms; ${again}`,
    `nodes no answer within 0 ms; ${again}`,
    ' the watched lists are well again',
    `pods refused; ${again}`,
  ]);
});
