/** The contracts that the tests need, compiled here: a staking contract, a wallet that is a contract with its factory, and a token. */
import { createRequire } from 'node:module'

const SOURCE = `
// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

contract Staking {
  struct Info { uint256 staked; uint256 coolDownEnd; uint256 coolDownAmount; }
  mapping(address => Info) public stakedInfos;
  mapping(address => bool) public broken;
  function stake(uint256 amount) external { stakedInfos[msg.sender].staked += amount; }
  function unstake(uint256 amount) external { stakedInfos[msg.sender].staked -= amount; }
  function breakFor(address account) external { broken[account] = true; }
  function balanceOf(address account) external view returns (uint256) {
    require(!broken[account], "broken");
    return stakedInfos[account].staked;
  }
}

library Signatures {
  function signer(bytes32 hash, bytes memory signature) internal pure returns (address) {
    if (signature.length != 65) return address(0);
    bytes32 r; bytes32 s; uint8 v;
    assembly { r := mload(add(signature, 32)) s := mload(add(signature, 64)) v := byte(0, mload(add(signature, 96))) }
    return ecrecover(hash, v, r, s);
  }
}

contract Wallet {
  address public immutable owner;
  constructor(address owner_) { owner = owner_; }
  function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
    return Signatures.signer(hash, signature) == owner ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
  }
}

contract WalletFactory {
  function create(address owner) external returns (address) { return address(new Wallet{salt: 0}(owner)); }
  function addressOf(address owner) external view returns (address) {
    bytes32 code = keccak256(abi.encodePacked(type(Wallet).creationCode, abi.encode(owner)));
    return address(uint160(uint256(keccak256(abi.encodePacked(bytes1(0xff), address(this), bytes32(0), code)))));
  }
}

interface IWallet { function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4); }

// Token as Circle's FiatToken does EIP-3009: the state of an authorisation first, then the transfer.
contract Token {
  bytes32 constant TRANSFER = keccak256(
    "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)");
  mapping(address => uint256) public balanceOf;
  mapping(address => mapping(bytes32 => bool)) public authorizationState;
  event Transfer(address indexed from, address indexed to, uint256 value);
  event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);

  function mint(address to, uint256 value) external { balanceOf[to] += value; emit Transfer(address(0), to, value); }

  function cancel(bytes32 nonce) external { authorizationState[msg.sender][nonce] = true; }

  function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore,
    bytes32 nonce, uint8 v, bytes32 r, bytes32 s) external {
    move(from, to, value, validAfter, validBefore, nonce, abi.encodePacked(r, s, v));
  }

  function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore,
    bytes32 nonce, bytes memory signature) external {
    move(from, to, value, validAfter, validBefore, nonce, signature);
  }

  function move(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce,
    bytes memory signature) private {
    require(block.timestamp > validAfter && block.timestamp < validBefore, "time");
    require(!authorizationState[from][nonce], "used");
    bytes32 hash = keccak256(abi.encodePacked("\\x19\\x01", domain(),
      keccak256(abi.encode(TRANSFER, from, to, value, validAfter, validBefore, nonce))));
    if (from.code.length == 0) require(Signatures.signer(hash, signature) == from, "signature");
    else require(IWallet(from).isValidSignature(hash, signature) == bytes4(0x1626ba7e), "signature");
    authorizationState[from][nonce] = true;
    emit AuthorizationUsed(from, nonce);
    balanceOf[from] -= value;
    balanceOf[to] += value;
    emit Transfer(from, to, value);
  }

  function domain() private view returns (bytes32) {
    return keccak256(abi.encode(keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
      keccak256("USD Coin"), keccak256("2"), block.chainid, address(this)));
  }
}

// Two authorisations in one transaction: one to the thief's other wallet, one to the receiver.
contract Bundle {
  function run(address token, bytes[] calldata calls) external {
    for (uint256 i = 0; i < calls.length; i++) { (bool ok,) = token.call(calls[i]); require(ok, "call"); }
  }
}
`

export type ContractName = 'Staking' | 'Wallet' | 'WalletFactory' | 'Token' | 'Bundle'

type Output = {
  readonly errors?: readonly { readonly severity: string; readonly formattedMessage: string }[]
  readonly contracts?: { readonly 'tests.sol': Record<ContractName, { readonly evm: { readonly bytecode: { readonly object: string } } }> }
}

/** The bytecode of each contract. */
export function compile(): Record<ContractName, `0x${string}`> {
  const require = createRequire(import.meta.url)
  const solc = require('solc') as { compile(input: string): string }
  const input = {
    language: 'Solidity',
    sources: { 'tests.sol': { content: SOURCE } },
    settings: { outputSelection: { '*': { '*': ['evm.bytecode.object'] } } },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input))) as Output
  const wrong = output.errors?.find(({ severity }) => severity === 'error')
  const compiled = output.contracts?.['tests.sol']
  if (wrong || !compiled) throw new Error(wrong?.formattedMessage ?? 'solc said nothing')
  const code = (name: ContractName): `0x${string}` => `0x${compiled[name].evm.bytecode.object}`
  return {
    Staking: code('Staking'),
    Wallet: code('Wallet'),
    WalletFactory: code('WalletFactory'),
    Token: code('Token'),
    Bundle: code('Bundle'),
  }
}
