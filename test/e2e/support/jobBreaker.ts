// Loaded into the scheduler before it starts (`--import`): the engine throws whenever it tries a job whose name has "poison" in it.
import { registerHooks } from 'node:module';

const FILE = 'src/engine/actions/attemptJob.ts';
const BEFORE = '  const s = st.session;\n  const need = ';
const BREAK = `  const s = st.session;
  if (s.view.texts.get(s.view.podGroups.keyText[job]!).includes('poison')) throw new Error('injected fault of one job');
  const need = `;

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    if (!url.endsWith(FILE)) return loaded;
    const source = String(loaded.source);
    if (!source.includes(BEFORE)) throw new Error(`${FILE} has changed: the test does not know any more where to break it`);
    return { ...loaded, source: source.replace(BEFORE, BREAK) };
  },
});
