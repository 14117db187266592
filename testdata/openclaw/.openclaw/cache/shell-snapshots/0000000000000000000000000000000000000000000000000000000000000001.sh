# made up: what a gateway sources before each command
export MADE_UP_ALIAS=1
