import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SYSTEM_CLOCK } from '../../src/kubernetes/clock.ts';
import { ConfigSource, type Configuration, type Workers } from '../../src/scheduler/configSource.ts';

describe('the configuration file of a running scheduler', () => {
  let folder: string;
  let changes: Configuration[];
  let refusals: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kai-config-'));
    changes = [];
    refusals = [];
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const create = (workers?: Workers): ConfigSource =>
    new ConfigSource({
      path: join(folder, 'config.yaml'),
      flags: { schedulerName: 'mine' },
      workers,
      clock: SYSTEM_CLOCK,
      onChange: (configuration) => changes.push(configuration),
      onRefused: (error) => refusals.push(error.message),
      onWarning: () => undefined,
    });

  /** As a kubelet updates a mounted ConfigMap: a new folder, and a link that is swapped. */
  function publish(version: number, text: string): void {
    const data = join(folder, `..v${version}`);
    mkdirSync(data);
    writeFileSync(join(data, 'config.yaml'), text);
    symlinkSync(`..v${version}`, join(folder, '..data_tmp'));
    renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
    if (version === 1) symlinkSync('..data/config.yaml', join(folder, 'config.yaml'));
  }

  test('a swapped ConfigMap is taken over, an unusable one refused with the reason and the previous kept, the flags stay', async () => {
    publish(1, 'actions: "allocate"\nworkers: 2\n');
    const source = create();
    expect((await source.load()).config.actions).toEqual(['allocate']);
    expect(source.current.workers).toBe(2);
    await source.look();
    expect(changes).toEqual([]);
    publish(2, 'actions: "allocate, reclaim"\nworkers: 0\n');
    await source.look();
    expect(changes.map(({ config, workers }) => [config.actions, workers, config.params.schedulerName])).toEqual([
      [['allocate', 'reclaim'], 0, 'mine'],
    ]);
    publish(22, 'actions: "allocate, reclaim"\nworkers: 0\n');
    await source.look();
    expect(changes).toHaveLength(1);
    publish(3, 'actions: "allocate, dance"\n');
    await source.look();
    publish(4, 'actions: [\n');
    await source.look();
    publish(5, 'workers: many\n');
    await source.look();
    await source.look();
    expect(refusals).toEqual([
      expect.stringContaining('"dance"'),
      expect.stringContaining('not valid YAML'),
      'configuration: workers: expected auto or a count, found "many"',
    ]);
    expect(source.current.config.actions).toEqual(['allocate', 'reclaim']);
    // A file that is away for a moment is told once, and read when it is back.
    rmSync(join(folder, '..data'));
    await source.look();
    await source.look();
    expect(refusals).toHaveLength(4);
    symlinkSync('..v1', join(folder, '..data'));
    await source.look();
    expect(source.current.config.actions).toEqual(['allocate']);
  });

  test('the flag for workers wins; an empty file is the built-in configuration; a missing one ends the start', async () => {
    publish(1, '# nothing\n');
    const { config, workers } = await create(3).load();
    expect([config.actions.length, workers]).toEqual([5, 3]);
    rmSync(join(folder, 'config.yaml'));
    await expect(create().load()).rejects.toMatchObject({ code: 'UNREADABLE' });
  });
});
