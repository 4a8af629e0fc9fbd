import { openStore } from "./stage.ts";

/** A broker that is killed between its claim and its ledger. */
const [opening = "", key = ""] = process.argv.slice(2);
const store = await openStore(JSON.parse(opening) as Parameters<typeof openStore>[0]);
await store.claim({ key, session: "killed", forgetAfter: Date.now() + 3_600_000 });
process.send?.("claimed");
