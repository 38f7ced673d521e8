//! moto's server, and boto3 beside it to look at objects.

use std::process::Command;

use testkit::{Program, Scratch, free_port, tool};

use super::{BUCKET, tools, wait_for_port};

pub struct Moto {
    pub port: u16,
    _scratch: Scratch,
    _program: Program,
}

impl Moto {
    /// With an empty bucket.
    pub fn up() -> Self {
        let (port, scratch) = (free_port(), Scratch::new("moto"));
        let server = tools().join("moto/bin/moto_server");
        let mut command = Command::new(&server);
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
        command.current_dir(scratch.path());
        let program = Program::start(&mut command).unwrap_or_else(|error| {
            panic!(
                "cannot start {} (scripts/setup.sh installs it): {error}",
                server.display()
            )
        });
        wait_for_port(&program, port);
        let moto = Self {
            port,
            _scratch: scratch,
            _program: program,
        };
        moto.python(&format!("s3.create_bucket(Bucket='{BUCKET}')"));
        moto
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What a line of Python prints that has a client `s3`.
    pub fn python(&self, line: &str) -> String {
        let text = format!(
            "import boto3\ns3 = boto3.client('s3', endpoint_url='{}', region_name='us-east-1', \
             aws_access_key_id='x', aws_secret_access_key='y')\n{line}\n",
            self.endpoint()
        );
        let mut command = Command::new(tools().join("moto/bin/python"));
        command.env("NO_PROXY", "127.0.0.1").args(["-c", &text]);
        let done = tool::run(&mut command).unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8(done.stdout).expect("it prints text")
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        let line = format!(
            "for o in s3.list_objects_v2(Bucket='{BUCKET}').get('Contents', []): print(o['Key'])"
        );
        self.python(&line).lines().map(str::to_owned).collect()
    }

    /// Whom an object's ACL lets read besides its owner.
    pub fn readers(&self, key: &str) -> String {
        self.python(&format!(
            "for g in s3.get_object_acl(Bucket='{BUCKET}', Key='{key}')['Grants']:\n  \
             if g['Permission'] == 'READ': print(g['Grantee'].get('URI'))"
        ))
    }

    pub fn content_type(&self, key: &str) -> String {
        let line = format!("print(s3.head_object(Bucket='{BUCKET}', Key='{key}')['ContentType'])");
        self.python(&line).trim().to_owned()
    }
}
