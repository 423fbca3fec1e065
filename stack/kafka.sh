# shellcheck shell=bash
# A native Kafka of the checkout's own: one KRaft node, broker and controller in one JVM, on loopback, from the
# jars that Maven fetches for kafka/pom.xml. Settings that Docker shares are in kafka/server.properties.

KAFKA_HEAP=${HOPBENCH_KAFKA_HEAP:-512m}
# The collector and its goals are those of Kafka's own start script, said aloud so that no JVM chooses by machine size.
KAFKA_JVM_ARGS="-Xms$KAFKA_HEAP -Xmx$KAFKA_HEAP -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"
KAFKA_VERSION=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$ROOT/stack/kafka/pom.xml")
KAFKA_LIBS=$STATE/kafka/libs-$KAFKA_VERSION

# The first Java of at least 17, which Kafka 4 asks for.
kafka_java() {
  local java major
  for java in "${JAVA_HOME:+$JAVA_HOME/bin/java}" "$(command -v java)" /usr/lib/jvm/*/bin/java; do
    [[ -x $java ]] || continue
    major=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    ((${major:-0} >= 17)) && { echo "$java"; return; }
  done
  return 1
}

kafka_fetch() {
  [[ -d $KAFKA_LIBS ]] && return
  command -v mvn >/dev/null || return 1
  mkdir -p "$STATE/kafka" "$LOGS"
  rm -rf "$KAFKA_LIBS.part"
  say "fetching Kafka $KAFKA_VERSION with Maven"
  mvn -q -B -f "$ROOT/stack/kafka/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$KAFKA_LIBS.part" >"$LOGS/maven.log" 2>&1 9>&- && mv "$KAFKA_LIBS.part" "$KAFKA_LIBS"
}

kafka_missing() {
  if ! kafka_java >/dev/null; then
    echo "Kafka needs Java 17, which is not here: $HOW_TO_GET, or set HOPBENCH_KAFKA_BROKERS to a broker that exists"
  elif [[ ! -d $KAFKA_LIBS ]] && ! command -v mvn >/dev/null; then
    echo "Kafka's jars are not here and neither is Maven to fetch them: $HOW_TO_GET, or set HOPBENCH_KAFKA_BROKERS"
  elif ! kafka_fetch; then
    echo "Maven could not fetch Kafka's jars (see $LOGS/maven.log): check the network, or set HOPBENCH_KAFKA_BROKERS"
  else
    return 1
  fi
}

kafka_address() { echo "127.0.0.1:$KAFKA_PORT"; }
kafka_tls_address() { echo "127.0.0.1:$KAFKA_TLS_PORT"; }
# The log line comes once the broker is unfenced and its partitions have leaders; an open port comes earlier.
kafka_ready() { grep -q 'Kafka Server started' "$LOGS/kafka.log" 2>/dev/null && kafka_answers 127.0.0.1 "$KAFKA_PORT"; }

kafka_start() {
  local dir=$STATE/kafka java
  java=$(kafka_java)
  mkdir -p "$dir" "$LOGS"
  [[ -s $LOGS/kafka.log ]] && mv "$LOGS/kafka.log" "$LOGS/kafka.log.1"
  local listeners=PLAINTEXT://127.0.0.1:$KAFKA_PORT
  if tls_ready; then listeners+=,TLS://$(kafka_tls_address); fi
  {
    cat "$ROOT/stack/kafka/server.properties"
    echo "listeners=$listeners,CONTROLLER://127.0.0.1:$KAFKA_CONTROLLER_PORT"
    echo "advertised.listeners=$listeners"
    echo "ssl.keystore.location=$TLS/server-keystore.pem"
    echo "controller.quorum.voters=1@127.0.0.1:$KAFKA_CONTROLLER_PORT"
    echo "log.dirs=$dir/data"
  } >"$dir/server.properties"
  if [[ ! -s $dir/data/meta.properties ]]; then
    rm -rf "$dir/data"
    "$java" -Xmx128m -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool format -c "$dir/server.properties" \
      -t "$("$java" -Xmx128m -cp "$KAFKA_LIBS/*" kafka.tools.StorageTool random-uuid 2>/dev/null)" \
      >"$LOGS/kafka.log" 2>&1 9>&- || {
        unavailable kafka "Kafka's data folder could not be formatted; the log is $LOGS/kafka.log"
        return 1
      }
  fi
  # shellcheck disable=SC2086 # the arguments are words
  launch "$dir/pid" "$LOGS/kafka.log" "$java" $KAFKA_JVM_ARGS -Dorg.slf4j.simpleLogger.showDateTime=true \
    -cp "$KAFKA_LIBS/*" kafka.Kafka "$dir/server.properties"
  await kafka 120 kafka_ready
}

kafka_down() { :; }

kafka_facts() {
  fact HOPBENCH_KAFKA_BROKERS "$(kafka_address)"
  if tls_ready; then fact HOPBENCH_KAFKA_TLS_BROKERS "$(kafka_tls_address)"; fi
  fact HOPBENCH_KAFKA_VERSION "$KAFKA_VERSION"
  fact HOPBENCH_KAFKA_HEAP "$KAFKA_HEAP"
  fact HOPBENCH_KAFKA_GC G1
  fact HOPBENCH_KAFKA_JVM_ARGS "$KAFKA_JVM_ARGS"
}
