// The TypeScript SDK's client: `typescript.mjs PACKAGES URL HEADERS NAME MODE`. A step in,
// its outcome out, each a line of JSON. PACKAGES is the folder that the SDK was installed in.

import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [packages, url, headers, name, mode] = process.argv.slice(2);
const entry = `${packages}/@modelcontextprotocol/client/dist/index.mjs`;
const sdk = await import(pathToFileURL(entry).href);

const negotiation = mode === "legacy" ? {} : { versionNegotiation: { mode } };
const options = { capabilities: { elicitation: { form: {} } }, ...negotiation };
const client = new sdk.Client({ name, version: "1" }, options);

// What is asked of the client's user, who answers all of it as the step says.
let asked = [];
let content;
client.setRequestHandler("elicitation/create", (request) => {
  asked.push(request.params.message);
  return content ? { action: "accept", content } : { action: "decline" };
});

const requestInit = { headers: JSON.parse(headers) };
await client.connect(new sdk.StreamableHTTPClientTransport(new URL(url), { requestInit }));

async function call(step) {
  const progress = [];
  const onprogress = step.progress ? (each) => progress.push(each.progress) : undefined;
  const result = await client.callTool(
    { name: step.tool, arguments: step.arguments },
    { onprogress },
  );
  return { result, progress };
}

// Call, and cancel at the first sign of progress.
async function cancel(step) {
  const aborting = new AbortController();
  const options = { signal: aborting.signal, onprogress: () => aborting.abort("asked to") };
  try {
    return { result: await client.callTool({ name: step.tool, arguments: step.arguments }, options) };
  } catch (error) {
    if (aborting.signal.aborted) return { cancelled: true };
    throw error;
  }
}

async function take(step) {
  switch (step.do) {
    case "list":
      return {
        tools: (await client.listTools()).tools.map((tool) => tool.name),
        version: client.getNegotiatedProtocolVersion(),
      };
    case "call":
      return await call(step);
    case "cancel":
      return await cancel(step);
    default:
      return { unknown: step.do };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let outcome;
  const step = JSON.parse(line);
  asked = [];
  content = step.answer;
  try {
    outcome = await take(step);
  } catch (error) {
    outcome = { error: { code: error.code ?? error.name, message: error.message } };
  }
  process.stdout.write(`${JSON.stringify({ ...outcome, asked })}\n`);
}
await client.close();
