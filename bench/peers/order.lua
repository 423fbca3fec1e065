-- wrk: one fixed order, and one line of JSON at the end.
local file = assert(io.open(assert(os.getenv("PEERS_BODY"), "PEERS_BODY names the body's file"), "rb"))
wrk.method = "POST"
wrk.body = file:read("*a")
wrk.headers["Content-Type"] = "application/json"
file:close()

function done(summary, latency)
  local errors = summary.errors
  print(string.format(
    '{"requests": %d, "duration_us": %d, "errors": %d}',
    summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
