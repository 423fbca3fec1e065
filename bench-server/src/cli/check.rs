//! What can't be meant together, or here: refused before anything starts.

use super::{Cli, ControlAt, Serve, amqp_url};
use crate::hops;
use crate::token::{self, Token};
use bench_host::place::Cpus;
use bench_proto::Durability;
use bench_transport::Transport;
use clap::CommandFactory;
use clap::error::ErrorKind;

impl Serve {
    /// Refuses combinations that can't be meant, and takes the AMQP URL from the environment if it is there.
    pub fn check(&mut self) -> Result<(), clap::Error> {
        let refuse = |kind, sentence: String| Err(Cli::command().error(kind, sentence));
        // Here and not in a value parser: clap repeats a refused value, and this one may hold a password.
        if let Some(url) = &self.queue {
            match amqp_url(url) {
                Ok(url) => self.queue = Some(url),
                Err(sentence) => {
                    return refuse(ErrorKind::ValueValidation, format!("--queue: {sentence}"));
                }
            }
        }
        // Here too: a hop's target may hold a password.
        match hops::read_all(&self.next) {
            Ok(next) => {
                let fans_out =
                    |next: &hops::Next| next.fanout && next.transport == Transport::Queue;
                let reads_a_fan_out = self.reader.is_some() && self.queue.is_some();
                if self.queue_limit.is_some() && (reads_a_fan_out || next.iter().any(fans_out)) {
                    return refuse(
                        ErrorKind::ArgumentConflict,
                        "expected --queue-limit or a fan-out over RabbitMQ (--reader, or a hop with `fanout`), got both; one reader's full queue would refuse what the others get, so drop one of the two".into(),
                    );
                }
                if let Some(own) = next.iter().find(|next| self.consumes(next)) {
                    return refuse(
                        ErrorKind::ArgumentConflict,
                        format!(
                            "--next: expected a hop that is another service, got `{}`, this one's own {} in scope `{}`, so each order would come back to it; give one of them another scope",
                            own.name, own.transport, own.scope
                        ),
                    );
                }
            }
            Err(sentence) => {
                return refuse(ErrorKind::ValueValidation, format!("--next: {sentence}"));
            }
        }
        let listens = self.tcp.is_some() || self.rest.is_some() || self.grpc.is_some();
        if !(listens || self.queue.is_some() || self.stream.is_some()) {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected at least one listener, got none; give --tcp, --rest, --grpc, --queue or --stream, for example `bench-server serve --rest 127.0.0.1:8080`".into(),
            );
        }
        if self.reader.is_some() && self.queue.is_none() && self.stream.is_none() {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected a broker that --reader reads from, got none; give --queue or --stream, or leave it out".into(),
            );
        }
        if self.tls && listens && self.certificate.is_none() {
            return refuse(
                ErrorKind::MissingRequiredArgument,
                "expected what a listener with --tls shows, got none; give --certificate FILE and --key FILE"
                    .into(),
            );
        }
        if let Some(url) = &self.queue
            && url.starts_with("amqps://") != self.tls
        {
            return refuse(
                ErrorKind::ArgumentConflict,
                "expected --tls with an amqps:// address, and none with an amqp:// one; got one without the other".into(),
            );
        }
        if matches!(self.durability, Durability::Process | Durability::Power)
            && self.journal.is_none()
        {
            let class = self.durability;
            return refuse(
                ErrorKind::MissingRequiredArgument,
                format!(
                    "expected a folder for the journal that --durability {class} keeps; name one with --journal DIR"
                ),
            );
        }
        let token_file = self.token_file.as_deref();
        if token_file.is_some() && self.control == ControlAt::Off {
            return refuse(
                ErrorKind::ArgumentConflict,
                "expected --token-file or --control off, got both; the file is for the control port, so drop one of the two".into(),
            );
        }
        let given = std::env::var(token::ENVIRONMENT).ok();
        let given = given.map_or(Ok(()), |text| Token::given(&text).map(drop));
        let token = given.and_then(|()| token_file.map_or(Ok(()), token::check_replaceable));
        if let Err(sentence) = token {
            return refuse(ErrorKind::ValueValidation, sentence);
        }
        if let (Some(wanted), Ok(allowed)) = (&self.pin, Cpus::allowed())
            && wanted
                .iter()
                .any(|cpu| allowed.iter().all(|other| other != cpu))
        {
            // The kernel would pin to those that there are, and say nothing.
            return refuse(
                ErrorKind::ValueValidation,
                format!(
                    "--pin: expected CPUs out of {allowed}, which this process may use; got {wanted}"
                ),
            );
        }
        Ok(())
    }

    /// Whether this service takes its own orders from where a hop sends them.
    fn consumes(&self, next: &hops::Next) -> bool {
        let own = match next.transport {
            Transport::Queue => &self.queue,
            Transport::Stream => &self.stream,
            Transport::Tcp | Transport::Rest | Transport::Grpc => return false,
        };
        own.as_ref() == Some(&next.target) && self.scope == next.scope
    }
}
